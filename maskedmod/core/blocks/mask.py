"""What every mask promises."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.tokens import Tokens


class Mask(nn.Module, ABC):
    """Base of masks, built as ``block(spec, **arguments)``. May have parameters (learned masks).

    ``per_sample`` is K, the number of masks of one sample: the model hands over every sample K times.
    ``needs_teacher``: the teacher runs first and its latent is ``ctx.teacher``.
    """

    per_sample: int = 1
    needs_teacher: bool = False

    @abstractmethod
    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        """Decide for ``M = B*K`` rows. Random numbers come from ``ctx.generator`` alone."""
