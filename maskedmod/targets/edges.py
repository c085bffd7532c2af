"""Whether an edge joins two nodes."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.context import Step
from maskedmod.core.tokens import Spec, Where
from maskedmod.masks.edges import hidden_edges
from maskedmod.targets import Target


class Edges(Target):
    """1 for hidden edges, 0 for the pairs that the mask drew beside them (MGAE, Tan et al. 2023, section 3.4)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.width = 1

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> float ``[P, 1]`` in the order of the mask's pairs."""
        return hidden_edges(step.views[view].mask)[1][:, None].float()
