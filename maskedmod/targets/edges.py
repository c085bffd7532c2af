"""Whether an edge joins two nodes."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.layers.graphs.hidden_edges import hidden_edges


class Edges(Target):
    """1 for hidden edges, 0 for the pairs that the mask drew beside them (MGAE, Tan et al. 2023, section 3.4)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.width = 1

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> float ``[P, 1]`` in the order of the mask's pairs."""
        return hidden_edges(step.views[view].mask)[1][:, None].float()
