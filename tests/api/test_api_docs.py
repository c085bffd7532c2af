"""The pages of the Python API and of embed run as they stand, on a small run of the built-in sample."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from maskedmod.cli import main
from tests.conftest import ROOT

SMALL = ["encoder.depth=2", "encoder.width=24", "encoder.heads=2", "head.depth=1", "head.width=16", "head.heads=2"]
SHORT = ["train.steps=2", "train.warmup_steps=0", "train.batch_size=4", "train.val_batches=1", "train.baseline_batches=1"]
REPLACED = "maskedmod train recipe=mae out=runs/mae"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with ``runs/mae``, trained for two steps."""
    here = tmp_path_factory.mktemp("docs")
    words = ["recipe=mae", "preset=demo", f"out={here / 'runs' / 'mae'}", "data.samples=8", "train.tensorboard=false"]
    assert main(["train", *words, *SMALL, *SHORT]) == 0
    return here


def blocks(page: str) -> list[tuple[str, str]]:
    return re.findall(r"```(python|sh)\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)


def test_python_api(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    for _, text in blocks("python-api.md"):
        exec(text, names)
    assert (folder / "reconstruction.png").is_file() and len(list(folder.glob("tone*.wav"))) == 3


def test_embed(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """All commands but the training, which the fixture does in short, and the one that downloads."""

    pytest.importorskip("pyarrow")
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    ran = 0
    for kind, text in blocks("embed.md"):
        if kind == "python":
            exec(text, names)
            continue
        for line in text.strip().splitlines():
            if line == REPLACED or "data=hf" in line:
                continue
            assert main(line.removeprefix("maskedmod ").split()) == 0, line
            ran += 1
    assert ran == 4 and "20 0 0" in capsys.readouterr().out
