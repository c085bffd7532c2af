"""A tensor from inside the encoder, as it is."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.core.tokens import take


class Tap(Head):
    """The tap ``name`` of the encoder at the predicted places, with nothing learned: for losses on what lies inside."""

    def __init__(self, spec: Spec, name: str = "vectors") -> None:
        super().__init__()
        self.taps = (name,)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[M, J, T, D]``, packed ``[T, D]``."""
        if where.index is None or view.student.index is not None:
            raise ValueError("head=tap reads tokens of an encoder that sees all of them")
        return take(view.student.taps[self.taps[0]], where.index)
