"""Learning rate and weight decay at given steps, against the formulas."""

from __future__ import annotations

import math

import pytest

from maskedmod.recipe.settings import TrainSettings
from maskedmod.train.schedule import Plan


def plan(per_epoch: float = 10, **changes: object) -> Plan:
    return Plan(TrainSettings(**{"epochs": 10, "lr": 1.0, **changes}), per_epoch)  # type: ignore[arg-type]


def test_cosine_with_warmup() -> None:
    p = plan(warmup_epochs=1, min_lr=0.1, start_lr=0.2)
    assert (p.total, p.warmup) == (100, 10)
    assert p.lr(0) == pytest.approx(0.2) and p.lr(5) == pytest.approx(0.6)
    assert p.lr(10) == pytest.approx(1.0)
    assert p.lr(55) == pytest.approx(0.1 + 0.9 * 0.5)
    assert p.lr(99) == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 89 / 90)))


def test_linear_falls_on_a_line() -> None:
    """ESM-2 ends at a tenth of its peak."""
    p = plan(schedule="linear", warmup_epochs=1, min_lr=0.1)
    assert [p.lr(s) for s in (10, 55, 100, 120)] == pytest.approx([1.0, 0.55, 0.1, 0.1])


def test_longer_schedule_than_run() -> None:
    """I-JEPA stretches its schedules by a quarter beyond the run."""
    p = plan(schedule_epochs=12.5)
    assert p.lr(100) == pytest.approx(0.5 * (1 + math.cos(math.pi * 100 / 125)))


def test_multistep_and_constant() -> None:
    p = plan(schedule="multistep", milestones=(3, 7), gamma=0.1, warmup_steps=0)
    assert [p.lr(s) for s in (0, 29, 30, 70)] == pytest.approx([1.0, 1.0, 0.1, 0.01])
    assert plan(schedule="constant").lr(99) == 1.0


def test_weight_decay() -> None:
    p = plan(weight_decay_end=0.4)
    assert [p.weight_decay(s, 0.04) for s in (0, 50, 100)] == pytest.approx([0.04, 0.22, 0.4])
    assert plan().weight_decay(70, 0.05) == 0.05


def test_base_lr_scales_with_the_batch() -> None:
    assert plan(lr=None, base_lr=1e-3, batch_size=512).lr(0) == pytest.approx(2e-3)
    assert plan(lr=3e-3, base_lr=1e-3, batch_size=512).lr(0) == 3e-3


def test_steps_win_over_epochs() -> None:
    assert plan(steps=7).total == 7 and plan(per_epoch=2.5, epochs=3).total == 8


def test_validation_is_ten_times_a_run_unless_told() -> None:
    assert plan().val_every == 10 and plan(val_every=3).val_every == 3 and plan(steps=5).val_every == 1
