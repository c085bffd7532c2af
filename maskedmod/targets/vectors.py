"""Vectors that the batch brings along: features of a teacher, computed beforehand."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.core.tokens import take


class Vectors(Target):
    """A vector of ``width`` values for every token from ``batch[key]``, float ``[B, N, width]`` (packed ``[L, width]``): what a
    teacher made of it once, in the place of a teacher that runs along (VQ-KD, Peng et al. 2022, section 2.2). ValueError when
    the batch does not bring them."""

    def __init__(self, spec: Spec, width: int = 512, key: str = "features") -> None:
        super().__init__()
        self.width, self.key = width, key

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> ``[M, J, T, width]`` (packed ``[T, width]``)."""
        if where.index is None:
            raise ValueError("target=vectors describes tokens; region=pooled has none")
        found = step.batch.get(self.key)
        if found is None or found.shape[-1] != self.width:
            has = "nothing of that name" if found is None else f"vectors of {found.shape[-1]} values"
            raise ValueError(
                f"target=vectors: expected batch[{self.key!r}] with {self.width} values of every token; it has {has}"
            )
        return take(found, where.index) if found.ndim > 2 else found[where.index % len(found)]
