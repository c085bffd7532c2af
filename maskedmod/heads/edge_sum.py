"""Head over the two ends of an edge."""

from __future__ import annotations

from torch import Tensor, nn

from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.layers.graphs.bonds import bonds_of, relation_of


class EdgeSum(Head):
    """A linear map of the sum of an edge's two nodes (Hu et al. 2020, bonds of masked atoms); the edges are those of
    ``target=edge_ids``. The sum does not know a direction."""

    reads_hidden = True

    def __init__(self, spec: Spec, bias: bool = True) -> None:
        super().__init__()
        self.pred = nn.Linear(spec.width, spec.target, bias=bias)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[U, target]``."""
        if where.index is None:
            raise ValueError("head=edge_sum predicts edges; region=pooled has none")
        first, second = relation_of(view.source).edge_index[:, bonds_of(where.index, view.source)]
        x = view.student.tokens
        return self.pred(x[first] + x[second])
