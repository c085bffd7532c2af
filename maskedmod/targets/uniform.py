"""The same share for every code."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.context import Step
from maskedmod.core.tokens import Spec, Where
from maskedmod.targets import Target


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
