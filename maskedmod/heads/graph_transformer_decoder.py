"""Light Transformer over the nodes of graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.layers.graphs.parts import edge_index_of, relation_left
from maskedmod.layers.graphs.transformer import Centrality, GraphBlocks
from maskedmod.layers.init import Init, initialise
from maskedmod.layers.linear import Linear


class GraphTransformerDecoder(Head):
    """A mask token at every hidden node, centrality, and ``depth`` blocks over the whole graph, as in
    ``encoder=graph_transformer`` (GMAE, Zhang et al. 2022, section 3: deep encoder of visible nodes, shallow decoder of all).

    Centralities and biases of paths are its own, or with ``shared`` those of the encoder, which must be as wide and have as many
    heads (the released code). ``eps``: of the norms."""

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
        shared: bool = False,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        if spec.sees != "visible":
            raise ValueError("head=graph_transformer_decoder needs encoder.sees=visible")
        self.embed = Linear(spec.width, width)
        self.layers = GraphBlocks(depth, width, heads, mlp_ratio, dropout, most_distance, interleave, eps, own=not shared)
        self.pred = Linear(width, spec.target)
        initialise(self, init)
        self.centrality = None if shared else Centrality(width, most_degree)
        self.shared: list[tuple[Centrality, GraphBlocks]] = []  # no parts of this module: their parameters are the encoder's
        self.like = (width, heads) if shared else None
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)

    def bind(self, encoder: Encoder) -> None:
        """ValueError for an encoder whose biases do not fit."""
        layers, centrality = getattr(encoder, "layers", None), getattr(encoder, "centrality", None)
        if self.like is None:
            return
        if not isinstance(layers, GraphBlocks) or layers.bias is None or not isinstance(centrality, Centrality):
            raise ValueError("shared=true is for encoder=graph_transformer, whose centralities and biases it shares")
        if (encoder.width, layers.bias.embedding_dim) != self.like:
            width, heads = self.like
            raise ValueError(f"shared=true needs an encoder as wide ({width}) and with as many heads ({heads}) as this head")
        self.shared = [(centrality, layers)]

    def forward(self, view: View, where: Where) -> Tensor:
        """-> packed ``[T, target]``."""
        student, rows = view.student, view.rows
        if where.index is None or student.index is None:
            raise ValueError("head=graph_transformer_decoder predicts nodes from visible ones; region=pooled has none")
        edges, nodes = edge_index_of(rows), len(rows.values)
        x = self.mask_token.expand(nodes, -1).index_copy(0, student.index, self.embed(student.tokens))
        centrality, like = self.shared[0] if self.shared else (self.centrality, None)
        assert centrality is not None
        x = self.layers(x + centrality(edges, nodes), rows.layout, relation_left(rows), rows.layout, like=like)
        return self.pred(x[where.index])

    def units(self) -> list[nn.Module]:
        return list(self.layers.blocks)
