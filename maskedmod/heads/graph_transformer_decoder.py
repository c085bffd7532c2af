"""Light Transformer over the nodes of graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskedmod.context import View
from maskedmod.heads import Head
from maskedmod.layers.graph_parts import edges_of
from maskedmod.layers.graph_transformer import Centrality, GraphBlocks
from maskedmod.layers.init import initialise
from maskedmod.layers.linear import Linear
from maskedmod.masks.edges import relation_of
from maskedmod.tokens import Spec, Where


class GraphTransformerDecoder(Head):
    """A mask token at every hidden node, centrality, and ``depth`` blocks over the whole graph, as in
    ``encoder=graph_transformer`` (GMAE, Zhang et al. 2022, section 3: deep encoder of visible nodes, shallow decoder of all)."""

    def __init__(
        self, spec: Spec, depth: int = 2, width: int = 128, heads: int = 4, mlp_ratio: float = 4.0, most_degree: int = 64
    ) -> None:
        super().__init__()
        if spec.sees != "visible":
            raise ValueError("head=graph_transformer_decoder needs encoder.sees=visible")
        self.embed = Linear(spec.width, width)
        self.layers = GraphBlocks(depth, width, heads, mlp_ratio)
        self.pred = Linear(width, spec.target)
        initialise(self, "xavier")
        self.centrality = Centrality(width, most_degree)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> packed ``[T, target]``."""
        student, rows = view.student, view.rows
        if where.index is None or student.index is None:
            raise ValueError("head=graph_transformer_decoder predicts nodes from visible ones; region=pooled has none")
        edge_index, nodes = relation_of(rows).edge_index, len(rows.values)
        x = self.mask_token.expand(nodes, -1).index_copy(0, student.index, self.embed(student.tokens))
        x = self.layers(x + self.centrality(edge_index, nodes), edges_of(rows), rows.layout)
        return self.pred(x[where.index])

    def units(self) -> list[nn.Module]:
        return list(self.layers.blocks)
