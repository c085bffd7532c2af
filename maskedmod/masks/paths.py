"""Edges of graphs, hidden along random walks."""

from __future__ import annotations

import torch
from torch import Tensor

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.layers.graphs.edges import pairs_of
from maskedmod.layers.graphs.hidden_edges import EdgeMask, relation_of
from maskedmod.layers.graphs.messages import incoming
from maskedmod.masks.edges import edge_mask


class Paths(Mask):
    """Hide the edges, in both directions, of random walks of ``length`` steps from ``int(ratio * n)`` of the n nodes of a batch
    (MaskGAE, Li et al. 2023, section 4.2). A walk goes on along any edge of its node, back too, and stays where there is none.
    Self-loops stay. ``negatives``: pairs that no edge joins, for every hidden one."""

    def __init__(self, spec: Spec, ratio: float = 0.7, length: int = 3, negatives: int = 1) -> None:
        super().__init__()
        if not 0.0 < ratio <= 1.0:
            raise ValueError(f"mask.ratio must lie between 0 and 1, not {ratio}")
        if length < 1 or negatives < 1:
            raise ValueError(f"mask.length {length} and mask.negatives {negatives} must be 1 or more")
        self.ratio, self.length, self.negatives = ratio, length, negatives

    def forward(self, rows: Tokens, ctx: Context) -> EdgeMask:
        """Packed rows -> mask for encoder.sees=full. ValueError for tokens without edges."""
        relation, nodes = relation_of(rows), len(rows.values)
        pairs = pairs_of(relation, nodes)
        at = torch.randperm(nodes, generator=ctx.generator, device=rows.device)[: int(self.ratio * nodes)]
        walked = torch.cat([pairs.of[edges] for edges in self._walk(relation.edge_index[:, pairs.of >= 0], at, nodes, ctx)])
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
