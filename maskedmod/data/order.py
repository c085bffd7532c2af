"""Which sample comes when: pure functions of (seed, step, rank, world), so that a run can go on anywhere with no saved state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from maskedmod.core.context import step_seed


@dataclass(frozen=True)
class Slot:
    """One place of a batch: the record ``index`` to read there, and ``seed`` for random cuts, from (seed, epoch, place).
    ``fixed``: no other record may stand in for it."""

    index: int
    seed: int
    fixed: bool = False


@dataclass
class Order:
    """Training order over ``count`` records: a permutation per epoch, dealt out to ranks card by card, the incomplete rest of
    an epoch left out (it differs from epoch to epoch)."""

    count: int
    batch_size: int
    seed: int = 0
    shuffle: bool = True
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        self._epoch, self._permutation = -1, torch.empty(0, dtype=torch.long)

    @cached_property
    def steps_per_epoch(self) -> int:
        return self.count // (self.batch_size * self.world)

    def permutation(self, epoch: int) -> torch.Tensor:
        """Record numbers of an epoch, int64 ``[count]``; the one of the latest epoch is kept."""
        if epoch != self._epoch:
            if self.shuffle:
                generator = torch.Generator().manual_seed(step_seed(self.seed, epoch))
                self._permutation = torch.randperm(self.count, generator=generator)
            else:
                self._permutation = torch.arange(self.count)
            self._epoch = epoch
        return self._permutation

    def batch(self, step: int) -> list[Slot]:
        """What this rank reads at a step counted from the start of the run."""
        epoch, within = divmod(step, self.steps_per_epoch)
        first = within * self.batch_size * self.world + self.rank
        places = range(first, first + self.batch_size * self.world, self.world)
        picked = self.permutation(epoch)[first : places.stop : self.world].tolist()
        return [Slot(index, step_seed(self.seed, epoch, part=1 + place)) for index, place in zip(picked, places, strict=True)]

    def replacement(self, slot: Slot, attempt: int) -> int:
        """Another record for a place whose own cannot be used: any, chosen by (seed of the place, attempt)."""
        return step_seed(slot.seed, attempt) % self.count
