"""Learning rate and weight decay of every step, as pure functions of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math
from dataclasses import dataclass

from maskedmod.recipe.settings import TrainSettings


@dataclass(frozen=True)
class Plan:
    """Numbers of a run that follow from its settings and the length of an epoch (in optimiser steps)."""

    settings: TrainSettings
    steps_per_epoch: float

    @property
    def total(self) -> int:
        """Optimiser steps of the run."""
        return self.settings.total_steps(self.steps_per_epoch)

    @property
    def warmup(self) -> int:
        """Steps of the linear warm-up."""
        s = self.settings
        return s.warmup_steps if s.warmup_steps is not None else round(s.warmup_epochs * self.steps_per_epoch)

    @property
    def length(self) -> int:
        """Steps that the schedule is stretched over."""
        epochs = self.settings.schedule_epochs
        return self.total if epochs is None else max(1, round(epochs * self.steps_per_epoch))

    @property
    def val_every(self) -> int:
        """Steps between validations; 0 when only the end has one."""
        every = self.settings.val_every
        return max(1, self.total // 10) if every is None else every

    def pictures_at(self, done: int) -> bool:
        """Whether the samples are drawn after ``done`` steps: when no rhythm is set, early (a twentieth of the run), then at
        every fifth of it but the last, whose picture the end of the run draws."""
        every, total = self.settings.pictures_every, self.total
        if every is not None:
            return every > 0 and done % every == 0
        return total >= 100 and done in {total // 20, *(total * fifth // 5 for fifth in range(1, 5))}

    def lr(self, step: int) -> float:
        """Learning rate of 0-based ``step``: linear from ``start_lr`` to the peak, then as the schedule says."""
        s, peak = self.settings, self.settings.peak_lr()
        if step < self.warmup:
            return s.start_lr + (peak - s.start_lr) * step / self.warmup
        if s.schedule == "constant":
            return peak
        if s.schedule == "multistep":
            passed = sum(step >= round(epoch * self.steps_per_epoch) for epoch in s.milestones)
            return peak * s.gamma**passed
        share = min(1.0, (step - self.warmup) / max(1, self.length - self.warmup))
        left = 1.0 - share if s.schedule == "linear" else 0.5 + 0.5 * math.cos(math.pi * share)
        return s.min_lr + (peak - s.min_lr) * left

    def weight_decay(self, step: int, start: float) -> float:
        """Weight decay of ``step``: half a cosine from ``start`` to ``weight_decay_end`` (I-JEPA, arXiv 2301.08243)."""
        end = self.settings.weight_decay_end
        if end is None:
            return start
        share = min(1.0, step / max(1, self.length))
        return end + (start - end) * (0.5 + 0.5 * math.cos(math.pi * share))
