"""``maskedmod reconstruct`` with the same words for images and sound, and for published weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from maskedmod.api.loaded import Loaded
from maskedmod.cli import main
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.recipe.file import dump
from maskedmod.zoo import step_folder
from maskedmod.zoo.report import Report

SMALL = ["encoder.depth=1", "encoder.width=24", "encoder.heads=2", "head.depth=1", "head.width=16", "head.heads=2"]
RECIPES = {
    "image": ["recipe=mae", "modality={image: {size: 32, patch_size: 8}}", *SMALL],
    "audio": ["recipe=audio_mae", "modality={audio: {mel_bins: 32, frames: 64, patch_size: 8}}", *SMALL, "head.window=null"],
}


@pytest.fixture(params=["image", "audio"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A run folder with a checkpoint of fresh weights and the built-in sample as its data."""
    tree: dict[str, Any] = resolve([*RECIPES[request.param], "data=demo"])
    model = build_model(tree)
    out = tmp_path / request.param
    out.mkdir()
    (out / "recipe.yaml").write_text(dump(tree))
    step_folder.save(out / "checkpoints", model.state_dict(), {}, {"step": 1}, keep=1)
    return out


def inputs(kind: str, folder: Path) -> Path:
    folder.mkdir()
    draw = np.random.default_rng(0)
    for i in range(3):
        if kind == "image":
            Pillow.fromarray(draw.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / f"{i}.png")
        else:
            pytest.importorskip("soundfile").write(folder / f"{i}.wav", draw.standard_normal(9000) * 0.1, 16000)
    return folder


def test_the_same_words_for_every_modality(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = inputs(run.name, tmp_path / "in")
    words = ["reconstruct", f"checkpoint={run}", f"input={given}", "seed=3", "mask.ratio=0.5", "wav=true"]
    sizes = []
    for columns in (1, 3):
        out = tmp_path / f"{columns}.png"
        assert main([*words, f"output={out}", f"columns={columns}"]) == 0
        sizes.append(Pillow.open(out).size)
    assert sizes[0][0] < sizes[1][0] and sizes[0][1] > sizes[1][1]
    sounds = sorted(path.name for path in tmp_path.glob("*.wav"))
    assert len(sounds) == (24 if run.name == "audio" else 0)
    assert main(["reconstruct", f"checkpoint={run}", "samples=2"]) == 0
    assert (run / "pictures" / "reconstruction_seed0.png").is_file()
    assert main(["reconstruct", f"checkpoint={run}", "columns=0"]) == 2
    assert "columns must be at least 1" in capsys.readouterr().err


def test_weights_that_are_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tree = resolve(RECIPES["image"])
    fresh = Loaded(build_model(tree).eval(), Report("fair_mae"), "fair_mae", tree)
    monkeypatch.setattr("maskedmod.reconstruct.run.load", lambda path: fresh)
    monkeypatch.chdir(tmp_path)
    given = inputs("image", tmp_path / "in")
    assert main(["reconstruct", "checkpoint=published.pth", f"input={given}", "mask.ratio=0.5", "samples=2"]) == 0
    assert (tmp_path / "reconstruction_in_seed0.png").is_file()
    assert main(["reconstruct", "checkpoint=published.pth"]) == 2
    assert "name what to draw" in capsys.readouterr().err


def test_rows_and_what_was_left_out(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``rows`` with ``columns`` stands for samples; files that cannot be used are named, and the others are drawn."""
    given = inputs(run.name, tmp_path / "in")
    ending = {"image": "png", "audio": "wav"}[run.name]
    (given / f"0.{ending}").write_bytes(b"nothing of the kind")
    words = ["reconstruct", f"checkpoint={run}", f"input={given}", f"output={tmp_path / 'a.png'}"]
    assert main([*words, "rows=2", "columns=1"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if line.startswith(f"left out 0.{ending}: not a")]) == 1
    tall = Pillow.open(tmp_path / "a.png").size
    assert main([*words, "rows=1", "samples=2"]) == 0
    flat = Pillow.open(tmp_path / "a.png").size
    assert tall[0] < flat[0] and tall[1] > flat[1]
    for wrong, message in ((["rows=2", "columns=1", "samples=5"], "have not 2 rows"), (["rows=0"], "rows must be at least 1")):
        assert main([*words, *wrong]) == 2
        assert message in capsys.readouterr().err
    assert main([*words[:3], f"output={tmp_path / 'a.jpg'}"]) == 2
    assert "expected a name that ends in .png" in capsys.readouterr().err
