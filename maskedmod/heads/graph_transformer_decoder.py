"""Light Transformer over the nodes of graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.layers.graphs.parts import edge_index_of
from maskedmod.layers.graphs.transformer import Centrality, GraphBlocks
from maskedmod.layers.init import Init, initialise
from maskedmod.layers.linear import Linear


class GraphTransformerDecoder(Head):
    """A mask token at every hidden node, centrality, and ``depth`` blocks over the whole graph, as in
    ``encoder=graph_transformer`` (GMAE, Zhang et al. 2022, section 3: deep encoder of visible nodes, shallow decoder of all).

    Centralities and biases of paths are its own; the released code has those of the encoder in both."""

    def __init__(
        self,
        spec: Spec,
        depth: int = 2,
        width: int = 512,
        heads: int = 32,
        mlp_ratio: float = 1.0,
        dropout: float = 0.1,
        most_degree: int = 64,
        most_distance: int = 20,
        interleave: bool = False,
        init: Init = "trunc_normal",
    ) -> None:
        super().__init__()
        if spec.sees != "visible":
            raise ValueError("head=graph_transformer_decoder needs encoder.sees=visible")
        self.embed = Linear(spec.width, width)
        self.layers = GraphBlocks(depth, width, heads, mlp_ratio, dropout, most_distance, interleave)
        self.pred = Linear(width, spec.target)
        initialise(self, init)
        self.centrality = Centrality(width, most_degree)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> packed ``[T, target]``."""
        student, rows = view.student, view.rows
        if where.index is None or student.index is None:
            raise ValueError("head=graph_transformer_decoder predicts nodes from visible ones; region=pooled has none")
        edges, nodes = edge_index_of(rows), len(rows.values)
        x = self.mask_token.expand(nodes, -1).index_copy(0, student.index, self.embed(student.tokens))
        x = self.layers(x + self.centrality(edges, nodes), rows.layout, edges, rows.layout)
        return self.pred(x[where.index])

    def units(self) -> list[nn.Module]:
        return list(self.layers.blocks)
