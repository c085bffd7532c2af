"""Validation: the loss on held-out data with fixed masks, beside that of the mean predictor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.context import Context, step_seed
from maskedmod.core.model import MaskedModel
from maskedmod.core.step import Step
from maskedmod.data.groups import Groups
from maskedmod.errors import UserError
from maskedmod.support.devices import to_device
from maskedmod.train.baseline import MeanPredictor
from maskedmod.train.parallel import Parallel, seed_all

VALIDATION_SEED = 2**31 - 1
"""Validation draws the same masks in every run, whatever its seed, so that numbers can be compared."""


class NothingUsableError(UserError):
    """All samples of a pass are bad."""

    def __init__(self) -> None:
        super().__init__("no validation sample could be used")


Numbered = Iterable[tuple[int, dict[str, Any]]]
"""Batches with numbers that depend on the data alone; a fresh pass each time."""

MOVING_GROUPS = 32
"""Groups of training samples from which the mean of a teacher's targets is measured anew at every validation."""


class Validator:
    """Runs over the validation loader and the mean predictor; leaves the model in training mode."""

    def __init__(
        self,
        model: nn.Module,
        data: Numbered,
        train: Numbered | None,
        parallel: Parallel,
        autocast: Callable[[], Any],
    ) -> None:
        """``data``: numbered batches to validate on; ``train``: those that the mean is measured on (None: there is none)."""
        self.model, self.data, self.train = model, data, train
        self.parallel, self.autocast = parallel, autocast
        self.generator = torch.Generator(parallel.device)
        self.means = MeanPredictor(model) if train is not None and isinstance(model, MaskedModel) else None

    def prepare(self, path: Path) -> None:
        """Read the mean predictor of the run, or measure it and write it."""
        if self.means is None:
            return
        if self.parallel.share(path.exists()) and not self.means.moves:
            self.means.load(path, self.parallel.device)
            return
        self._measure(path)

    def _measure(self, path: Path, most: int | None = None) -> None:
        assert self.means is not None and self.train is not None
        self.means.reset()
        with self._still():
            groups = takewhile(lambda item: most is None or item[0] < most, self.train)
            try:
                for number, batch, real in self._lockstep(iter(groups), self.train):
                    self.means.add(self._step(batch, number), real)
            except NothingUsableError:  # the first step says it better, with the sample and the reason
                self.means = None
                return
        self.means.finish(self.parallel)
        if self.parallel.main:
            self.means.save(path)

    def run(self, at: Context, path: Path) -> dict[str, float]:
        """-> ``val_loss``, ``val_<objective>``, ``val_mean_baseline``; means over samples of all processes, of packed ids
        over predicted tokens."""
        if self.means is not None and self.means.moves and at.step > 0:
            self._measure(path, MOVING_GROUPS)
        sums: dict[str, Tensor] = {}
        count = 0.0
        with self._still():
            for number, batch, real in self._lockstep(iter(self.data), self.data):
                losses, samples = self._losses(batch, number, at)
                samples = samples if real else 0
                count += samples
                for key, loss in losses.items():
                    sums[key] = sums.get(key, 0.0) + loss.double() * samples
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
        """Schedules stand where training is; random numbers depend on the number of the batch alone, and not on which process
        has it."""
        seed_all(step_seed(VALIDATION_SEED, i), self.parallel.device, self.generator)
        return replace(at, seed=VALIDATION_SEED, part=i, rank=0, world=1, training=False, generator=self.generator)

    def _lockstep(self, batches: Iterator[tuple[int, Any]], whole: Numbered) -> Iterator[tuple[int, Any, bool]]:
        """Processes may have different numbers of batches, and a sharded model must run in all of them equally often: one
        that is through repeats its last batch, or the first of all where it has none of its own, which then does not count.
        UserError where nobody has any."""
        last: tuple[int, dict[str, Any]] | None = None
        while True:
            batch = next(batches, None)
            if self.parallel.world > 1:
                going = torch.tensor(float(batch is not None), device=self.parallel.device)
                if not self.parallel.total(going, most=True).item():
                    return
            elif batch is None:
                if last is None:
                    raise NothingUsableError
                return
            last = batch or last or _first_of_all(whole)
            yield *last, batch is not None

    def _still(self) -> _Still:
        return _Still(self.model)


def _first_of_all(whole: Numbered) -> tuple[int, Any]:
    """The first batch of all processes. UserError where there is none."""
    found = next(iter(replace(whole, rank=0, world=1) if isinstance(whole, Groups) else whole), None)
    if found is None:
        raise NothingUsableError
    return found


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
