"""Every argument that a recording's constructor was given is one that the layout speaks of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from maskedmod.zoo.layouts.known import LAYOUTS
from tests.parity.golden import cases, golden

SYSTEMS = {
    "mae": "fair_mae", "simmim/vit": "simmim", "beit": "beit", "data2vec_vision": "data2vec_vision", "i_jepa": "i_jepa",
    "beit_v2": "beit_v2", "beit_v2/vqkd": "vq_kd",
}  # fmt: skip
RECORDED = [(system, name) for system in SYSTEMS for name in cases(system) if system != "beit_v2" or "vqkd" not in name]


def named(made: Mapping[str, Any]) -> Iterator[str]:
    """Names of all arguments, those of parts too; ``collator_kind`` is the recording's own word."""
    for name, value in made.items():
        if isinstance(value, Mapping) and name != "mask_generator":
            yield from named(value)
        elif not isinstance(value, Mapping) and name != "collator_kind":
            yield name


@pytest.mark.parametrize(("system", "name"), RECORDED)
def test_constructor(system: str, name: str) -> None:
    layout: Any = next(layout for layout in LAYOUTS if SYSTEMS[system] == layout.NAME)
    assert set(named(golden(name).meta["constructor"])) <= layout.ARGUMENTS.keys()
