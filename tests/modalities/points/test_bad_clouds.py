"""Clouds that cannot be used, by command: one line that names the file and what is wrong, or counted and left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from maskedmod.cli import main

WORDS = [
    "recipe=point_mae", "preset=tiny", "data=folder", "modality.points=64", "modality.groups=8", "modality.group_size=8",
    "encoder.depth=1", "encoder.width=24", "encoder.heads=2", "head.depth=1", "head.width=24", "head.heads=2",
    "train.steps=2", "train.batch_size=4", "train.warmup_steps=1", "train.val_batches=1", "train.baseline_batches=1",
    "train.tensorboard=false", "train.pictures_every=0",
]  # fmt: skip
DRAW = np.random.default_rng(0)
CLOUD = DRAW.standard_normal((80, 3))
PLY = (
    b"ply\nformat binary_little_endian 1.0\nelement vertex 80\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
)
BAD = {
    "three.xyz": (b"0 0 0\n1 0 0\n0 1 0\n", "3 different points, a group has 8"),
    "nan.xyz": (b"".join(b"%f %f nan\n" % (x, y) for x, y, _ in CLOUD), "80 of 80 points are NaN or infinite"),
    "same.xyz": (b"1 2 3\n" * 90, "all 90 points are the same: a cloud without extent"),
    "cut.ply": (PLY + CLOUD.astype("<f4").tobytes()[:-7], "cut off: 79 of 80 rows of element vertex are there"),
    "head.off": (b"OFF\nmany 2 0\n" + b"0 0 1\n" * 9, "broken OFF header"),
}


@pytest.mark.parametrize("name", BAD)
def test_named_or_left_out(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "clouds"
    folder.mkdir()
    for i in range(9):
        np.save(folder / f"{i}.npy", DRAW.standard_normal((80, 3)))
    content, words = BAD[name]
    (folder / name).write_bytes(content)
    told = [*WORDS, f"data.path={folder}", "data.val_pattern=0.npy"]
    assert main(["train", *told, f"out={tmp_path / 'a'}", "train.steps=3"]) != 0
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert name in line and words in line
    assert main(["train", *told, f"out={tmp_path / 'b'}", "train.steps=3", "train.bad_samples=skip"]) == 0
    found = [json.loads(row) for row in (tmp_path / "b" / "bad_samples.jsonl").read_text().splitlines()]
    assert found and all(name in json.dumps(row) and words in json.dumps(row) for row in found)
