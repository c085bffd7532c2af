"""Nodes of graphs, hidden in neighbourhoods."""

from __future__ import annotations

import torch
from torch import Tensor

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import Count, masked_counts, packed_from_masked, smallest
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.layers.graphs.hidden_edges import relation_of


class Subgraphs(Mask):
    """Hide a share of every graph's nodes in connected pieces: a random node with all that are at most ``hops`` edges away, then
    another, until the number is reached; the last piece is cut short. What block masks are to images.

    ``ratio`` and ``count``: how many, as in mask=random.
    """

    def __init__(self, spec: Spec, ratio: float = 0.5, hops: int = 1, count: Count = "mask_int") -> None:
        super().__init__()
        if not 0.0 < ratio < 1.0:
            raise ValueError(f"mask.ratio must lie between 0 and 1, not {ratio}")
        if hops < 0:
            raise ValueError(f"mask.hops must be 0 or more, not {hops}")
        self.ratio, self.hops, self.count = ratio, hops, count

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        """Packed rows -> MaskSet. ValueError for tokens without edges."""
        relation, segment = relation_of(rows), rows.layout.segments()
        nodes = len(rows.values)
        order = torch.randperm(nodes, generator=ctx.generator, device=rows.device)
        rank = self._earliest(order, relation.edge_index)
        # the piece that a node belongs to decides, and inside the last piece the node's own number
        noise = (rank.double() + order.double() / nodes) / nodes
        eligible = rows.eligible if rows.eligible is not None else torch.ones(nodes, dtype=torch.bool, device=rows.device)
        counts = torch.zeros(rows.batch, dtype=torch.long, device=rows.device).index_add(0, segment, eligible.long())
        asked = masked_counts(counts, self.ratio, self.count)
        return packed_from_masked(smallest(noise, asked, eligible, segment))

    def _earliest(self, order: Tensor, edge_index: Tensor) -> Tensor:
        """Lowest number among the nodes at most ``hops`` edges away."""
        source, target = edge_index
        for _ in range(self.hops):
            order = order.scatter_reduce(0, target, order[source], "amin")
        return order
