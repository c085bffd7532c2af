"""A tensor from inside the encoder, as it is."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.context import View
from maskedmod.core.tokens import Spec, Where, take
from maskedmod.heads import Head


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
