"""Transformer over the nodes of graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch.nn.functional as F
from torch import nn

from maskedmod.core.apply import Seen
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.latent import Latent
from maskedmod.core.spec import Spec
from maskedmod.layers.graphs.parts import edge_index_of, relation_left
from maskedmod.layers.graphs.transformer import Centrality, GraphBlocks
from maskedmod.layers.init import Init, initialise


class GraphTransformer(Encoder):
    """Embedding and centrality of every node, then ``depth`` blocks of attention over all nodes of a graph, with a bias for the
    length of the shortest path between two (GMAE, Zhang et al. 2022, after Graphormer, Ying et al. 2021).

    ``sees``: ``visible`` encodes visible nodes; their centrality and paths are those in the whole graph. ``full`` hides nothing.
    ``dropout``: of the input, of attention and in every block. ``most_degree``: degrees from this on have one vector;
    ``most_distance``: longer paths have one bias, as has none. ``interleave``: the mean of the neighbours is added before every
    block, as GROVER (Rong et al. 2020) mixes both; small runs learn from it long before the biases have grown. ``init``:
    trunc_normal has a deviation of 0.02 / sqrt(depth), as in GMAE's released code. ``both_degrees``: edges that end in a node and
    edges that leave it have a vector each. ``edge_values``: width of the edges' attributes, whose first ``most_hops`` along a
    shortest path add to the bias (Graphormer, eq. 7); null: they are not read. ``eps``: of the norms.
    """

    def __init__(
        self,
        spec: Spec,
        embedding: Callable[[int], nn.Module],
        depth: int = 12,
        width: int = 512,
        heads: int = 32,
        sees: Literal["visible", "full"] = "visible",
        mlp_ratio: float = 1.0,
        dropout: float = 0.1,
        most_degree: int = 64,
        most_distance: int = 20,
        interleave: bool = False,
        init: Init = "trunc_normal",
        both_degrees: bool = False,
        edge_values: int | None = None,
        most_hops: int = 20,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.width, self.sees, self.dropout = width, sees, dropout
        self.embed = embedding(width)
        self.layers = GraphBlocks(depth, width, heads, mlp_ratio, dropout, most_distance, interleave, eps, edge_values, most_hops)
        initialise(self, init, 0.02 / max(1, depth) ** 0.5)
        self.centrality = Centrality(width, most_degree, both_degrees)

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        tokens, index = seen.tokens, seen.index
        whole = tokens if index is None else seen.whole
        assert whole is not None
        edges, x = edge_index_of(whole), self.embed(tokens.values)
        at = self.centrality(edges, len(whole.values))
        x = F.dropout(x + (at if index is None else at[index]), self.dropout, self.training)
        x = self.layers(x, tokens.layout, relation_left(whole), whole.layout, index)
        return Latent(x, tokens.layout, index=index)

    def units(self) -> list[nn.Module]:
        return list(self.layers.blocks)
