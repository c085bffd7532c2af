"""Every argument of a released constructor is a setting, told by the tensors, or refused by a line that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import maskedmod
from maskedmod.errors import UserError
from maskedmod.zoo.layouts.graph import pretrain_gnns
from maskedmod.zoo.layouts.points import point_m2ae, point_mae
from tests.parity.golden import Golden, cases, golden
from tests.parity.test_convert import clouds

SYSTEMS = {"point_mae": point_mae, "point_m2ae": point_m2ae, "attr_masking": pretrain_gnns}
OF_THE_RECORDING = {"molecule_sizes", "transformer_config"}
"""In a recording beside the constructor's arguments: what it was tried on, and a group of arguments."""


def arguments(case: Golden) -> dict[str, Any]:
    made = case.meta["constructor"]
    return {key: x for key, x in {**made, **made.get("transformer_config", {})}.items() if key not in OF_THE_RECORDING}


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_recorded_argument_is_known(system: str) -> None:
    layout = SYSTEMS[system]
    for name in cases(system):
        unknown = [key for key in arguments(golden(name)) if key not in layout.SETTINGS and key not in layout.RELEASED]
        assert not unknown


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_released_names_are_taken(system: str, tmp_path: Path) -> None:
    """Given as the released configuration has them, options give the model that our own names give."""
    layout = SYSTEMS[system]
    for name in cases(system):
        case = golden(name)
        torch.save(case.group("weights."), tmp_path / "saved.pth")
        given = {key: x for key, x in arguments(case).items() if layout.RELEASED.get(key, key) in layout.SETTINGS}
        more = {} if system == "attr_masking" else {"points": case["input.points"].shape[1]}
        loaded = maskedmod.load(tmp_path / "saved.pth", settings={**given, **more})
        for key, x in given.items():
            assert loaded.report.settings[layout.RELEASED.get(key, key)] == x


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_no_setting_is_refused_by_name(system: str, tmp_path: Path) -> None:
    layout, case = SYSTEMS[system], golden(cases(system)[0])
    torch.save(case.group("weights."), tmp_path / "saved.pth")
    for key, meaning in layout.RELEASED.items():
        if meaning not in layout.SETTINGS:
            with pytest.raises(UserError, match=f"setting {key} of layout {layout.NAME}: "):
                maskedmod.load(tmp_path / "saved.pth", settings={key: 3})
    with pytest.raises(UserError, match="unknown setting 'blocks'"):
        maskedmod.load(tmp_path / "saved.pth", settings={"blocks": 3})


def test_values_that_there_are_not(tmp_path: Path) -> None:
    for system, wrong in (
        ("point_mae", {"loss": "emd"}), ("point_mae", {"mask_type": "cube"}), ("point_m2ae", {"local_radius": [0.1]}),
        ("point_m2ae", {"num_groups": [4, 2]}),
    ):  # fmt: skip
        case = golden(cases(system)[0])
        torch.save(case.group("weights."), tmp_path / "saved.pth")
        own = {SYSTEMS[system].RELEASED.get(key, key): x for key, x in wrong.items()}
        with pytest.raises(UserError, match=next(iter(own))):
            maskedmod.load(tmp_path / "saved.pth", settings={**clouds(case), **own})
