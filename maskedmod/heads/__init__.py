"""Heads: from the latent to a prediction. One block per file; the file name is the block's name in a recipe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from maskedmod.context import View
from maskedmod.tokens import Where


class Head(nn.Module, ABC):
    """Base of heads, built as ``block(spec, **arguments)``; ``spec.width`` comes in, ``spec.target`` goes out.
    ``taps``: what the head wants from the encoder beside its output."""

    taps: Sequence[str] = ()

    @abstractmethod
    def forward(self, view: View, where: Where) -> Tensor:
        """Predictions at ``where``: dense ``[M, J, T, out]``, packed ``[T, out]``, pooled ``[M, out]``."""

    def units(self) -> list[nn.Module]:
        """Sub-modules to compile, shard and checkpoint one by one."""
        return []
