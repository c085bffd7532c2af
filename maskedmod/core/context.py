"""What a block may know about the moment: step, progress, random generator, teacher output."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from maskedmod.core.latent import Latent


@dataclass
class Context:
    """State of the run at one step; schedules are pure functions of it.

    ``step`` counts optimiser steps, ``max_steps`` their number in the run. ``generator`` lives on the batch's device and was
    seeded from (seed, step, rank, accumulation ``part``), so a resumed run draws the same numbers with no saved state.
    ``teacher`` is set before the mask is drawn when there is a teacher.
    """

    step: int = 0
    max_steps: int = 1
    epoch: float = 0.0
    steps_per_epoch: float = 1.0
    seed: int = 0
    part: int = 0
    rank: int = 0
    world: int = 1
    training: bool = True
    generator: torch.Generator | None = None
    teacher: Latent | None = None

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0 to 1."""
        return min(1.0, self.step / max(1, self.max_steps))

    def host_rng(self, shared: bool = False) -> np.random.Generator:
        """numpy generator of this step for decisions on the host (sizes, rectangles); ``shared``: the same on all ranks.
        Outside training the step does not count, so that every validation draws the same masks."""
        step = self.step if self.training else 0
        return np.random.default_rng(step_seed(self.seed, step, 0 if shared else self.rank + 1, self.part))

    def with_teacher(self, teacher: Latent | None) -> Context:
        return replace(self, teacher=teacher)


def step_seed(seed: int, step: int, rank: int = 0, part: int = 0) -> int:
    """One 63-bit seed per (seed, step, rank, accumulation part): mixed, so that neighbours share no stream."""
    x = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB + part * 0xD6E8FEB86659FD93) % 2**64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
    return (x ^ (x >> 31)) % 2**63
