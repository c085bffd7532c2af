"""A modality of a third party: found by its entry point, checked, trained and drawn, with no line of the core changed."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from maskedmod.cli import main
from maskedmod.recipe import catalog
from maskedmod.recipe.config import resolve
from maskedmod.testing import check_modality
from maskedmod.verbs.completion import candidates

SOURCE = Path(__file__).parent / "thirdparty"
CLASHES = {"mask.random": "maskedmod_series.tail:Tail", "masks.tail": "maskedmod_series.tail:Tail"}
"""A name that is ours, and one that names no slot."""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package on the import path with the metadata that an installer writes from its pyproject.toml."""
    import tomllib

    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    shutil.copytree(SOURCE / "maskedmod_series", site / "maskedmod_series")
    info = site / f"maskedmod_series-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = {**project["entry-points"], "maskedmod.blocks": {**project["entry-points"]["maskedmod.blocks"], **CLASHES}}
    sections = (f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items())
    (info / "entry_points.txt").write_text("\n".join(sections))
    monkeypatch.syspath_prepend(str(site))
    _unload()  # other tests import the package from the source tree
    _forget()
    yield site
    _unload()
    monkeypatch.undo()
    _forget()


def _unload() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "maskedmod_series"]:
        del sys.modules[name]


def _forget() -> None:
    """What was found installed is remembered for the life of a process."""
    for value in vars(catalog).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


def test_found_by_its_entry_point_and_keeps_the_contract(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from maskedmod.recipe.build import build_modality

    assert "series" in catalog.names("modality")
    modality = build_modality({"modality": {"series": {"length": 32, "patch_size": 4}}})
    assert str(installed) in str(sys.modules[type(modality).__module__].__file__)
    check_modality(modality)
    assert main(["ls", "modalities"]) == 0
    assert "series" in capsys.readouterr().out


def test_trains_and_draws(installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["train", f"recipe={SOURCE / 'recipe.yaml'}", f"out={run}"]) == 0
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 6 and all(np.isfinite(losses))
    statistics = json.loads((run / "statistics.json").read_text())
    assert statistics["std"] == pytest.approx(0.71, abs=0.05)  # sine waves
    assert (run / "report.html").is_file() and list((run / "pictures").glob("*.png"))
    series = tmp_path / "series"
    series.mkdir()
    np.save(series / "a.npy", np.sin(np.arange(64) / 5))
    np.savetxt(series / "b.csv", np.cos(np.arange(50) / 7))
    picture = tmp_path / "picture.png"
    capsys.readouterr()
    assert main(["reconstruct", f"checkpoint={run}", f"input={series}", f"output={picture}", "mask.ratio=0.75"]) == 0
    assert picture.is_file() and str(picture) in capsys.readouterr().out


def test_its_misspelt_argument_is_named(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", f"recipe={SOURCE / 'recipe.yaml'}", "modality.patchsize=4"]) != 0
    message = capsys.readouterr().err
    assert "patchsize" in message and "patch_size" in message


def test_its_block_is_found_by_its_entry_point(installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Listed, completed, checked and trained like ours; nothing of the package is imported for a list."""
    assert main(["ls", "mask"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "mask=tail The end of every series, to be told from its beginning. [share=0.5]" in text
    assert "maskedmod_series.tail" not in sys.modules
    words = ["train", f"recipe={SOURCE / 'recipe.yaml'}"]
    assert candidates([*words, "mask=ta"]) == ["mask=tail"]
    assert candidates([*words, "mask=tail", "mask."]) == ["mask.share="]
    assert main([*words, "mask=tail", "mask.share=0.25", f"out={tmp_path / 'run'}"]) == 0
    assert resolve([f"recipe={tmp_path / 'run'}"])["mask"] == {"tail": {"share": 0.25}}
    assert "tail" not in catalog.names("loss") and catalog.is_block("mask", "tail")
    capsys.readouterr()
    assert main([*words, "mask=tail", "mask.shre=0.25"]) == 2
    assert "share" in capsys.readouterr().err


def test_a_block_never_takes_the_name_of_ours(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It can be used by its full name; an entry point that names no slot is said."""
    assert catalog.load("mask", "random").__module__ == "maskedmod.masks.random"
    assert "maskedmod_series.tail:Tail" in catalog.names("mask")
    assert catalog.load("mask", "maskedmod_series.tail:Tail").__name__ == "Tail"
    assert catalog.entry("mask", "maskedmod_series.tail:Tail").arguments[-1].name == "share"
    assert main(["ls", "blocks"]) == 0
    assert "entry point masks.tail = maskedmod_series.tail:Tail, whose name is no slot.NAME" in capsys.readouterr().out


def test_absent_package_is_an_unknown_modality(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", f"recipe={SOURCE / 'recipe.yaml'}"]) != 0
    assert "series" in capsys.readouterr().err
