"""Transformer over the nodes of graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from torch import nn

from maskedmod.apply import Seen
from maskedmod.encoders import Encoder
from maskedmod.layers.graph_parts import edges_of
from maskedmod.layers.graph_transformer import Centrality, GraphBlocks, among
from maskedmod.layers.init import initialise
from maskedmod.masks.edges import relation_of
from maskedmod.tokens import Latent, Spec


class GraphTransformer(Encoder):
    """Embedding and centrality of every node, then ``depth`` blocks of message passing and of attention over all nodes of a graph
    (after GMAE, Zhang et al. 2022, whose attention has a bias for shortest paths in place of the message passing).

    ``sees``: ``visible`` encodes visible nodes and the edges between them; a node's centrality is that in the whole graph.
    ``full`` hides nothing. ``most_degree``: degrees from this on have one vector.
    """

    def __init__(
        self,
        spec: Spec,
        embedding: Callable[[int], nn.Module],
        depth: int = 12,
        width: int = 256,
        heads: int = 8,
        sees: Literal["visible", "full"] = "visible",
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        most_degree: int = 64,
    ) -> None:
        super().__init__()
        self.width, self.sees = width, sees
        self.embed = embedding(width)
        self.layers = GraphBlocks(depth, width, heads, mlp_ratio, dropout)
        initialise(self, "xavier")
        self.centrality = Centrality(width, most_degree)

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        tokens = seen.tokens
        edge_index, x = relation_of(tokens).edge_index, self.embed(tokens.values)
        if seen.index is None:
            x = x + self.centrality(edge_index, len(x))
            return Latent(self.layers(x, edges_of(tokens), tokens.layout), tokens.layout)
        assert seen.mask is not None
        nodes = len(seen.mask.role)
        x = x + self.centrality(edge_index, nodes)[seen.index]
        x = self.layers(x, among(edge_index, seen.index, nodes), tokens.layout)
        return Latent(x, tokens.layout, index=seen.index)

    def units(self) -> list[nn.Module]:
        return list(self.layers.blocks)
