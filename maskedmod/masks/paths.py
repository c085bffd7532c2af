"""Edges of graphs, hidden along random walks."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.layers.graphs.edges import pairs_of
from maskedmod.layers.graphs.hidden_edges import EdgeMask, relation_of
from maskedmod.layers.graphs.messages import incoming
from maskedmod.masks.edges import Directions, edge_mask, one_way


class Paths(Mask):
    """Hide the edges, in both directions, of random walks of ``length`` steps from ``int(ratio * n)`` of the n nodes of a batch
    (MaskGAE, Li et al. 2023, section 4.2). A walk goes on along any edge of its node, back too, and stays where there is none.
    Self-loops stay. ``negatives``: pairs that no edge joins, for every hidden one. ``start``: at nodes, or where ``edges`` begin
    that are drawn with probability ``ratio`` each, a node as often as its edges are. ``directions``: see ``masks.edges.one_way``;
    ``apart`` hides an edge in the direction in which it was walked."""

    def __init__(
        self,
        spec: Spec,
        ratio: float = 0.7,
        length: int = 3,
        negatives: int = 1,
        start: Literal["nodes", "edges"] = "nodes",
        directions: Directions = "both",
    ) -> None:
        super().__init__()
        if not 0.0 < ratio <= 1.0:
            raise ValueError(f"mask.ratio must lie between 0 and 1, not {ratio}")
        if length < 1 or negatives < 1:
            raise ValueError(f"mask.length {length} and mask.negatives {negatives} must be 1 or more")
        self.ratio, self.length, self.negatives = ratio, length, negatives
        self.start, self.directions = start, directions

    def forward(self, rows: Tokens, ctx: Context) -> EdgeMask:
        """Packed rows -> mask for encoder.sees=full. ValueError for tokens without edges."""
        relation, nodes = relation_of(rows), len(rows.values)
        pairs = pairs_of(relation, nodes)
        real = (pairs.of >= 0).nonzero()[:, 0]
        edges = relation.edge_index[:, real]
        if self.start == "nodes":
            at = torch.randperm(nodes, generator=ctx.generator, device=rows.device)[: int(self.ratio * nodes)]
        else:
            at = edges[0, torch.rand(len(real), generator=ctx.generator, device=rows.device) <= self.ratio]
        walks = torch.cat(self._walk(edges, at, nodes, ctx))
        if self.directions == "apart":
            taken = torch.zeros(len(pairs.of), dtype=torch.bool, device=rows.device).index_fill(0, real[walks], True)
            return one_way(rows, pairs, taken, self.negatives, ctx)
        walked = pairs.of[real[walks]]
        hidden = torch.zeros(len(pairs), dtype=torch.bool, device=rows.device)
        return edge_mask(rows, pairs, hidden.index_fill(0, walked, True), self.negatives, ctx)

    def _walk(self, edges: Tensor, at: Tensor, nodes: int, ctx: Context) -> list[Tensor]:
        """Numbers of the edges that every step takes."""
        leaving = incoming(edges.flip(0), nodes)
        taken = []
        for _ in range(self.length):
            begin, count = leaving.start[at], leaving.degree()[at]
            at, begin, count = at[count > 0], begin[count > 0], count[count > 0]
            share = torch.rand(len(at), generator=ctx.generator, device=at.device, dtype=torch.float64)
            step = begin + (share * count).long()
            taken.append(leaving.order[step])
            at = leaving.source[step]
        return taken
