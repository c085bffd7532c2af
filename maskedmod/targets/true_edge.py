"""The edge that was there, among others that were not."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.layers.graphs.generated import generated


class TrueEdge(Target):
    """Which of ``candidates`` that ``head=edge_match`` scores is the true end of every removed edge (GPT-GNN, Hu et al. 2020, eq.
    6). For ``mask=generation``, which draws the places, so that none is likelier than another."""

    discrete = True

    def __init__(self, spec: Spec, candidates: int = 512) -> None:
        super().__init__()
        if candidates < 2:
            raise ValueError(f"target.candidates={candidates}: expected 2 or more, the true one among them")
        self.width = candidates

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> int64 ``[U]``."""
        slot = generated(step.views[view].mask).slot
        assert slot is not None
        return slot % self.width
