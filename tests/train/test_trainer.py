"""The loop: exact resume, accumulation, several optimisers, precision, what it writes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from maskedmod.core.blocks.optimizer import Optimizer
from maskedmod.optimizers.adamw import Adamw
from maskedmod.optimizers.lamb import Lamb
from maskedmod.optimizers.lars import Lars
from maskedmod.train.parallel import Parallel
from maskedmod.train.stop import EXIT_INTERRUPTED, Interrupted
from maskedmod.zoo import step_folder
from tests.train import toy


def stop_at(run: Any, step: int) -> Interrupted:
    """Train, with a SIGTERM during 0-based ``step``."""
    original = run.model.after_step

    def after_step(ctx: Any) -> None:
        original(ctx)
        if ctx.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    run.model.after_step = after_step
    with pytest.raises(Interrupted) as caught:
        run.fit()
    return caught.value


@pytest.mark.parametrize(("kind", "accumulate"), [("mae", 1), ("jepa", 2)])
def test_resumed_run_gives_the_same_losses(tmp_path: Path, kind: str, accumulate: int) -> None:
    changes: dict[str, Any] = {"accumulate": accumulate, "clip": 1.0, "val": True, "val_every": 4}
    toy.trainer(tmp_path / "whole", toy.model(kind), **changes).fit()
    ended = stop_at(toy.trainer(tmp_path / "cut", toy.model(kind), **changes), 6)
    assert (ended.step, ended.code) == (7, EXIT_INTERRUPTED)
    toy.trainer(tmp_path / "cut", toy.model(kind, seed=1), **changes).fit()
    assert toy.losses(tmp_path / "cut") == toy.losses(tmp_path / "whole")
    whole, cut = (step_folder.load_model(step_folder.complete(tmp_path / name / "checkpoints")[-1]) for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    validations = [[line for line in toy.lines(tmp_path / name) if "val_loss" in line] for name in ("whole", "cut")]
    assert validations[0] == validations[1] and [line["step"] for line in validations[0]] == [4, 8, 12]


@pytest.mark.parametrize("block", [Lamb(), Lars()])
def test_other_optimisers_go_on_exactly(tmp_path: Path, block: Optimizer) -> None:
    toy.trainer(tmp_path / "whole", optimizers=block).fit()
    stop_at(toy.trainer(tmp_path / "cut", optimizers=block), 5)
    toy.trainer(tmp_path / "cut", toy.model(seed=1), optimizers=block).fit()
    assert toy.losses(tmp_path / "cut") == toy.losses(tmp_path / "whole")


def test_whole_tensor_optimisers_and_fsdp_are_refused(tmp_path: Path) -> None:
    place = Parallel(torch.device("cpu"), "fsdp")
    place.wrap = lambda model, units: model  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="needs whole tensors"):
        toy.trainer(tmp_path, optimizers=Lamb(), parallel=place)


def test_lines_after_the_checkpoint_are_taken_out(tmp_path: Path) -> None:
    run = toy.trainer(tmp_path, steps=8, checkpoint_every=3)
    run.keeper.save = lambda step, **meta: None if step > 6 else type(run.keeper).save(run.keeper, step, **meta)  # a crash at 8
    run.fit()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "lo')
    toy.trainer(tmp_path, steps=8, checkpoint_every=3).fit()
    assert len(toy.losses(tmp_path)) == 8


def test_missed_validation_is_made_up(tmp_path: Path) -> None:
    run = toy.trainer(tmp_path, val=True, steps=6, val_every=3, checkpoint_every=3)
    stop_at(run, 2)
    assert not any("val_loss" in line for line in toy.lines(tmp_path))
    toy.trainer(tmp_path, val=True, steps=6, val_every=3, checkpoint_every=3).fit()
    assert [line["step"] for line in toy.lines(tmp_path) if "val_loss" in line] == [3, 6]


def test_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
    toy.trainer(tmp_path).fit()
    before = toy.lines(tmp_path)
    assert toy.trainer(tmp_path).fit() == 12
    assert toy.lines(tmp_path) == before


def test_resume_never_starts_anew(tmp_path: Path) -> None:
    toy.trainer(tmp_path, steps=5).fit()
    toy.trainer(tmp_path, steps=3, resume=False).fit()
    assert len(toy.losses(tmp_path)) == 3


class Mean(nn.Module):
    """Loss without any chance in it: (w - mean of the batch)^2 over samples."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(4, 4))

    def forward(self, batch: dict[str, Any], ctx: Any, watch: bool = False) -> dict[str, Tensor]:
        return {"loss": (batch["x"] @ self.w - 1).pow(2).mean()}

    def param_groups(self) -> list[dict[str, Any]]:
        return [{"params": [self.w], "names": ["w"], "decay": True, "optimizer": "main"}]

    def after_step(self, ctx: Any) -> None: ...

    def diagnose(self) -> dict[str, float]:
        return {}

    def units(self) -> list[nn.Module]:
        return []


class Numbers:
    """Batches of ``size`` consecutive rows of one table."""

    def __init__(self, size: int) -> None:
        self.size, self.table = size, torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
        self.steps_per_epoch = 64 // size

    def batches(self, start_step: int = 0) -> Iterator[dict[str, Any]]:
        step = start_step
        while True:
            first = step * self.size % 64
            yield {"x": self.table[first : first + self.size], "name": ["n"] * self.size}
            step += 1

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        yield 0, {"x": self.table}


def test_accumulation_is_the_same_as_one_batch(tmp_path: Path) -> None:
    from maskedmod.train.trainer import Trainer

    ends = []
    for parts in (1, 4):
        chosen = toy.settings(accumulate=parts, steps=6, batch_size=16)
        net = Mean()
        Trainer(net, Numbers(16 // parts), Numbers(8), chosen, Adamw(), tmp_path / str(parts)).fit()
        ends.append((net.w.detach(), toy.losses(tmp_path / str(parts))))
    torch.testing.assert_close(ends[0][0], ends[1][0])
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-5)


def test_each_optimiser_sees_its_own_loss(tmp_path: Path) -> None:
    """Parameters of the one objective do not move by the other one's loss, nor when their optimiser pauses."""
    net = toy.model("two")
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    blocks = {"main": Adamw(weight_decay=0.0), "other": Adamw(lr_scale=0.0, weight_decay=0.0, period=2)}
    run = toy.trainer(tmp_path, net, optimizers=blocks, steps=2, clip=1.0)
    run.fit()
    moved = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert any(name.startswith("objectives.main") for name in moved) and any(name.startswith("encoder") for name in moved)
    assert not any(name.startswith("objectives.other") for name in moved)
    assert run.updates.optimizers["other"].state[run.updates.params["other"][0]]["step"] == 1
    assert {"loss", "main", "other", "loss.main", "loss.other"} <= set(toy.lines(tmp_path)[0])


def test_gradient_of_one_loss_alone() -> None:
    net = toy.model("two", dropout=0.0)
    run = toy.trainer(Path("unused"), net)
    batch = next(run.loader.batches())
    run.updates.backward(net(batch, run.context(0)), 0, 1)
    got = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    net(batch, run.context(0))["loss.main"].backward()
    alone = {name: p.grad for name, p in net.named_parameters() if p.grad is not None and not name.startswith("objectives.other")}
    assert all(torch.equal(got[name], grad) for name, grad in alone.items())


def test_several_optimisers_and_ddp_are_refused(tmp_path: Path) -> None:
    place = Parallel(torch.device("cpu"), "ddp")
    place.wrap = lambda model, units: model  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="several optimisers do not work with DDP"):
        toy.trainer(tmp_path, toy.model("two"), parallel=place)


def test_bf16_checkpointing_and_compile_of_units(tmp_path: Path) -> None:
    plain, other = toy.model(dropout=0.0), toy.model(dropout=0.0)
    toy.trainer(tmp_path / "a", plain, steps=3).fit()
    toy.trainer(tmp_path / "b", other, steps=3, activation_checkpointing=True, compile=True, compile_backend="eager").fit()
    assert toy.losses(tmp_path / "a") == pytest.approx(toy.losses(tmp_path / "b"), rel=1e-5)
    assert list(plain.state_dict()) == list(other.state_dict())
    toy.trainer(tmp_path / "c", toy.model(dropout=0.0), steps=3, precision="bf16").fit()
    assert toy.losses(tmp_path / "c") != toy.losses(tmp_path / "a")
    assert toy.losses(tmp_path / "c") == pytest.approx(toy.losses(tmp_path / "a"), rel=0.05)


def test_what_is_written(tmp_path: Path) -> None:
    drawn: list[int] = []
    toy.trainer(tmp_path, val=True, steps=10, pictures=drawn.append, pictures_every=4, tensorboard=True, val_every=0).fit()
    steps = [line for line in toy.lines(tmp_path) if "loss" in line]
    assert {"step", "loss", "main", "lr", "grad_norm", "samples_per_s", "memory_gb"} == set(steps[3])
    assert set(steps[2]) == {"step", "loss", "main", "lr"}
    assert drawn == [4, 8]
    validation = toy.lines(tmp_path)[-1]
    assert set(validation) == {"step", "val_loss", "val_main", "val_mean_baseline"} and validation["step"] == 10
    assert any((tmp_path / "tensorboard").iterdir()) and (tmp_path / "baseline.safetensors").exists()
    assert [path.name for path in step_folder.complete(tmp_path / "checkpoints")] == ["step_00000005", "step_00000010"]


def test_training_helps(tmp_path: Path) -> None:
    toy.trainer(tmp_path, toy.model(dropout=0.0), val=True, steps=120, lr=5e-3, warmup_steps=10, val_every=0).fit()
    last = toy.lines(tmp_path)[-1]
    assert last["val_loss"] < 0.7 * last["val_mean_baseline"]
    assert not any("finding" in line for line in toy.lines(tmp_path))


def test_wrong_sizes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size 8 is not divisible by 3"):
        toy.trainer(tmp_path, accumulate=3)
    with pytest.raises(ValueError, match=r"train\.steps or train\.epochs"):
        toy.settings(steps=None)
    with pytest.raises(ValueError, match=r"train\.lr or train\.base_lr"):
        toy.trainer(tmp_path, lr=None)
    with pytest.raises(ValueError, match=r"train\.log_every must be above 0, got 0"):
        toy.settings(log_every=0)
