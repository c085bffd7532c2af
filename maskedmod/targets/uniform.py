"""The same share for every code."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step


class Uniform(Target):
    """1 / ``codes`` for every code, wherever it is asked: what ``loss=shares`` compares the use of a vocabulary with."""

    fixed = True

    def __init__(self, spec: Spec, codes: int = 8192) -> None:
        super().__init__()
        if codes < 1:
            raise ValueError(f"target.codes must be 1 or more, not {codes}")
        self.width = codes

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> ``[M, J, T, codes]``, one number that is not stored more than once."""
        if where.index is None:
            raise ValueError("target=uniform describes tokens; region=pooled has none")
        one = step.views[view].rows.pos.new_full((1,), 1.0 / self.width).float()
        return one.expand(*where.index.shape, self.width)
