"""Numbers that change over a run: learning rate, weight decay, EMA momentum, mask ratio, temperature, loss weight."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from maskedmod.core.context import Context


@dataclass(frozen=True)
class Ramp:
    """From ``start`` to ``end`` over ``steps`` optimiser steps (default: the whole run), constant afterwards. ``after``: steps at
    ``start`` before that.

    ``shape``: ``linear``; ``cosine`` (half a cosine); ``step``: ``start`` until ``steps`` is reached, then ``end``.
    In a recipe: ``momentum: {start: 0.996, end: 1.0, shape: linear}``.
    """

    start: float
    end: float
    shape: Literal["linear", "cosine", "step"] = "linear"
    steps: int | None = None
    after: int = 0

    def __call__(self, ctx: Context) -> float:
        steps = self.steps if self.steps is not None else ctx.max_steps - self.after
        share = min(1.0, max(0, ctx.step - self.after) / max(1, steps))
        if self.shape == "step":
            return self.end if share >= 1.0 else self.start
        if self.shape == "cosine":
            share = 0.5 - 0.5 * math.cos(math.pi * share)
        return self.start + (self.end - self.start) * share


def value(number: float | Ramp, ctx: Context) -> float:
    """The number at this moment."""
    return number(ctx) if isinstance(number, Ramp) else float(number)
