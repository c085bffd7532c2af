"""Health checks find what is ill within 20 steps and say nothing about what is well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

from maskedmod.errors import UserError
from maskedmod.train.health import Health
from maskedmod.train.oom import explained
from tests.train import toy


def findings(out: Path) -> list[dict[str, Any]]:
    return [line for line in toy.lines(out) if "finding" in line]


class Blind(nn.Module):
    """A position table of zeros."""

    def forward(self, pos: torch.Tensor, grid: Any = None) -> torch.Tensor:
        return torch.zeros(*pos.shape[:-1], toy.WIDTH)


@pytest.mark.parametrize("kind", ["mae", "jepa"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_healthy_runs_report_nothing(tmp_path: Path, kind: str, seed: int) -> None:
    toy.trainer(tmp_path, toy.model(kind, seed=seed), steps=24, val=True, health_every=4).fit()
    assert findings(tmp_path) == []


def test_blinded_decoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net: Any = toy.model(dropout=0.0)
    net.objectives["main"].head.positions = Blind()
    toy.trainer(tmp_path, net, steps=20).fit()
    (found,) = findings(tmp_path)
    assert found["step"] == 10 and "predictions at masked positions are identical" in found["finding"]
    assert "health: objective main: predictions" in capsys.readouterr().err


def test_collapsed_teacher(tmp_path: Path) -> None:
    net: Any = toy.model("jepa")
    norm = net.teacher.encoder.norm
    nn.init.zeros_(norm.weight)
    nn.init.ones_(norm.bias)
    net.teacher.momentum = 1.0
    toy.trainer(tmp_path, net, steps=20).fit()
    assert any("the target is collapsed" in found["finding"] and found["step"] <= 20 for found in findings(tmp_path))


def test_nan_stops_with_the_batch_saved(tmp_path: Path) -> None:
    run = toy.trainer(tmp_path, steps=9, log_every=4)
    forward = run.module.forward

    def poisoned(batch: Any, ctx: Any, watch: bool = False) -> Any:
        out = forward(batch, ctx, watch)
        return {key: loss * float("nan") for key, loss in out.items()} if ctx.step == 6 else out

    run.module.forward = poisoned  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"not finite at step 7: training stops; its batch is in .*failed_batch.safetensors"):
        run.fit()
    assert len(toy.losses(tmp_path)) == 6 and findings(tmp_path)[0]["step"] == 7
    with safe_open(tmp_path / "failed_batch.safetensors", "pt") as saved:
        batches = run.loader.batches(6)
        assert torch.equal(saved.get_tensor("wave"), next(batches)["wave"])


def test_broken_gradient_does_not_become_a_checkpoint(tmp_path: Path) -> None:
    run = toy.trainer(tmp_path, steps=4, log_every=4)
    first = next(run.module.parameters())
    first.register_hook(lambda grad: grad * float("inf"))
    with pytest.raises(UserError, match="not finite"):
        run.fit()
    assert not (tmp_path / "checkpoints").exists()


def test_loss_no_better_than_the_mean() -> None:
    health = Health(100, 1000)
    bad = {"val_loss": 1.1, "val_mean_baseline": 1.0}
    assert health.compare(400, bad) == []
    (text,) = health.compare(600, bad)
    assert "no better than that of predicting the training mean" in text
    assert health.compare(700, bad) == []
    assert health.compare(800, {"val_loss": 0.5, "val_mean_baseline": 1.0}) == [] and len(health.compare(900, bad)) == 1


def test_out_of_memory_says_what_to_lower() -> None:
    advice = r"on the GPU: try train.accumulate=2 .*checkpointing=true.*bf16.*batch_size \(now 8\)"
    with pytest.raises(UserError, match=advice), explained(toy.settings()):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
    with pytest.raises(UserError, match="on the machine"), explained(toy.settings()):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory")
    with pytest.raises(RuntimeError, match="shapes"), explained(toy.settings()):
        raise RuntimeError("shapes do not match")
