"""The mean predictor: per position, valid positions only, without augmentation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.train import toy


def test_equals_the_mean_over_the_training_data(tmp_path: Path) -> None:
    run = toy.trainer(tmp_path, val=True, steps=1)
    run.fit()
    waves = run.module.modality
    every = torch.stack([waves.read(record) for record in waves.demo("train")]).reshape(-1, toy.N, toy.P)
    table = load_file(tmp_path / "baseline.safetensors")["main"]
    torch.testing.assert_close(table, every.mean(0))  # 64 samples: one whole epoch


def test_loss_of_the_mean_counts_the_same_positions(tmp_path: Path) -> None:
    """By hand: the masks of every validation batch, the mean at their positions."""
    run = toy.trainer(tmp_path, val=True, steps=1)
    run.fit()
    validator = run.validator
    assert validator is not None and validator.means is not None
    table, expected, samples = load_file(tmp_path / "baseline.safetensors")["main"], 0.0, 0
    for number, batch in validator.data:
        step = validator._step(batch, number)
        where = step.views["main"].mask.where("masked")
        goal = run.module.objectives["main"].target(step, "main", where)
        expected, samples = expected + float((goal - table[where.index]).pow(2).mean()) * len(goal), samples + len(goal)
    assert toy.lines(tmp_path)[-1]["val_mean_baseline"] == pytest.approx(expected / samples) and samples == 24


def test_padding_does_not_count(tmp_path: Path) -> None:
    """Padded positions hold 1000: the mean and both losses must know nothing of it."""
    toy.trainer(tmp_path, toy.model(padded=True), val=True, steps=1).fit()
    line = toy.lines(tmp_path)[-1]
    table = load_file(tmp_path / "baseline.safetensors")["main"]
    assert table[: toy.N // 2].abs().max() < 3 and line["val_mean_baseline"] < 10 and line["val_loss"] < 10


def test_validation_is_the_same_every_time(tmp_path: Path) -> None:
    run = toy.trainer(tmp_path, val=True, steps=1)
    run.fit()
    assert run.validator is not None
    ctx = run.context(5)
    first = run.validator.run(ctx, tmp_path / "b.safetensors")
    torch.rand(3)
    assert run.validator.run(ctx, tmp_path / "b.safetensors") == first
    assert run.module.training


@pytest.mark.parametrize("kind", ["mae", "jepa"])
def test_validation_does_not_depend_on_the_batches_of_training(kind: str, tmp_path: Path) -> None:
    lines = []
    for size in (2, 8, 16):
        toy.trainer(tmp_path / str(size), toy.model(kind), val=True, steps=1, lr=0.0, batch_size=size).fit()
        lines.append(toy.lines(tmp_path / str(size))[-1])
    for line in lines[1:]:
        assert line["val_loss"] == lines[0]["val_loss"] and line["val_mean_baseline"] == lines[0]["val_mean_baseline"]


def test_the_mean_of_a_moving_teacher_is_measured_anew(tmp_path: Path) -> None:
    run = toy.trainer(tmp_path, toy.model("jepa"), val=True, steps=8, val_every=4, lr=1e-2)
    run.fit()
    assert run.validator is not None and run.validator.means is not None and run.validator.means.moves
    means = [line["val_mean_baseline"] for line in toy.lines(tmp_path) if "val_loss" in line]
    assert len(means) == 2 and means[0] != means[1]
