"""Validation: the loss on held-out data with fixed masks, beside that of the mean predictor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.context import Context, step_seed
from maskedmod.core.model import MaskedModel
from maskedmod.core.step import Step
from maskedmod.errors import UserError
from maskedmod.support.devices import to_device
from maskedmod.train.baseline import MeanPredictor
from maskedmod.train.parallel import Parallel, seed_all

VALIDATION_SEED = 2**31 - 1
"""Validation draws the same masks in every run, whatever its seed, so that numbers can be compared."""

MOVING_BATCHES = 8
"""Training batches from which the mean of a teacher's targets is measured anew at every validation."""


class Validator:
    """Runs over the validation loader and the mean predictor; leaves the model in training mode."""

    def __init__(
        self,
        model: nn.Module,
        train: Callable[[], Iterator[dict[str, Any]]],
        val: Callable[[], Iterator[dict[str, Any]]],
        parallel: Parallel,
        autocast: Callable[[], Any],
        batches: int | None,
        baseline: int,
    ) -> None:
        """``train`` and ``val`` give fresh passes; ``baseline``: training batches for the mean (0: none)."""
        self.model, self.train, self.val = model, train, val
        self.parallel, self.autocast, self.batches, self.baseline = parallel, autocast, batches, baseline
        self.generator = torch.Generator(parallel.device)
        self.means = MeanPredictor(model) if baseline and isinstance(model, MaskedModel) else None

    def prepare(self, path: Path) -> None:
        """Read the mean predictor of the run, or measure it and write it."""
        if self.means is None:
            return
        if path.exists() and not self.means.moves:
            self.means.load(path, self.parallel.device)
            return
        self._measure(self.baseline, path)

    def _measure(self, batches: int, path: Path) -> None:
        assert self.means is not None
        self.means.reset()
        with self._still():
            for i, batch in enumerate(islice(self.train(), batches)):
                self.means.add(self._step(batch, i))
        self.means.finish(self.parallel)
        if self.parallel.main:
            self.means.save(path)

    def run(self, at: Context, path: Path) -> dict[str, float]:
        """-> ``val_loss``, ``val_<objective>``, ``val_mean_baseline``; means over samples of all processes, of packed ids
        over predicted tokens."""
        if self.means is not None and self.means.moves and at.step > 0:
            self._measure(MOVING_BATCHES, path)
        sums: dict[str, Tensor] = {}
        count = 0.0
        with self._still():
            for i, (batch, real) in enumerate(self._lockstep(islice(self.val(), self.batches))):
                losses, samples = self._losses(batch, i, at)
                if not real:
                    continue
                count += samples
                for key, loss in losses.items():
                    sums[key] = sums.get(key, 0.0) + loss.double() * samples
        if not sums:
            several = " in one of the processes; use fewer of them or more data" if self.parallel.world > 1 else ""
            raise UserError(f"no validation sample could be used{several}")
        both = torch.stack([*sums.values(), torch.tensor(count, device=self.parallel.device, dtype=torch.float64)])
        *totals, count = self.parallel.total(both).tolist()
        return {key: total / count for key, total in zip(sums, totals, strict=True)}

    def _losses(self, batch: dict[str, Any], i: int, at: Context) -> tuple[dict[str, Tensor], int]:
        if not isinstance(self.model, MaskedModel):
            out = self.model(to_device(batch, self.parallel.device), self._context(i, at))
            return {f"val_{key}": loss for key, loss in out.items()}, 1
        step = self._step(batch, i, at)
        with self.autocast():
            out = self.model.score(step)
        losses = {f"val_{key}": loss for key, loss in out.items()}
        if self.means is not None:
            losses["val_mean_baseline"] = self.means.score(step)
        return losses, _size(step)

    def _step(self, batch: dict[str, Any], i: int, at: Context | None = None) -> Any:
        ctx = self._context(i, at or Context())
        with self.autocast():
            return self.model.step(to_device(batch, self.parallel.device), ctx)  # type: ignore[operator]

    def _context(self, i: int, at: Context) -> Context:
        """Schedules stand where training is; random numbers depend on the batch alone."""
        seed = step_seed(VALIDATION_SEED, i, self.parallel.rank)
        seed_all(seed, self.parallel.device, self.generator)
        return replace(
            at, seed=VALIDATION_SEED, part=i, rank=self.parallel.rank, world=self.parallel.world, training=False,
            generator=self.generator,
        )  # fmt: skip

    def _lockstep(self, batches: Iterator[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], bool]]:
        """Processes may have different numbers of batches, and a sharded model must run in all of them equally often: one
        that is through repeats its last batch, which then does not count."""
        last: dict[str, Any] | None = None
        while True:
            batch = next(batches, None)
            if self.parallel.world > 1:
                going = torch.tensor(float(batch is not None), device=self.parallel.device)
                if not self.parallel.total(going, most=True).item():
                    return
            elif batch is None:
                return
            last = batch if batch is not None else last
            if last is None:
                raise ValueError("the validation data has fewer samples than there are processes")
            yield last, batch is not None

    def _still(self) -> _Still:
        return _Still(self.model)


def _size(step: Step) -> int:
    """What a batch counts in a mean over batches: its samples; of packed ids its predicted tokens, so that the mean is that of
    all tokens whatever the batches are."""
    view = next(iter(step.views.values()))
    return len(view.mask.targets) if view.mask.packed and step.modality.spec.vocab else view.tokens.batch


class _Still:
    """Evaluation mode without gradients; training mode and sharding are put back."""

    def __init__(self, model: Any) -> None:
        self.model, self.no_grad = model, torch.no_grad()

    def __enter__(self) -> None:
        self.model.eval()
        self.no_grad.__enter__()

    def __exit__(self, *exc: Any) -> None:
        self.no_grad.__exit__(*exc)
        self.model.train()
        if hasattr(self.model, "reshard"):  # FSDP2 leaves its root whole after a forward pass without a backward one
            self.model.reshard()
