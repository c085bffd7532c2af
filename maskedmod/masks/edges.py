"""Edges of graphs, hidden at random."""

from __future__ import annotations

import torch
from torch import Tensor

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.layers.graphs.edges import Pairs, apart, pairs_of
from maskedmod.layers.graphs.hidden_edges import EdgeMask, relation_of


class Edges(Mask):
    """Hide ``int(ratio * n)`` of the n pairs of nodes that edges join, in both directions, drawn over all graphs of a batch
    (MGAE, Tan et al. 2023, section 3.2). Self-loops stay. ``negatives``: pairs that no edge joins, for every hidden one."""

    def __init__(self, spec: Spec, ratio: float = 0.7, negatives: int = 1) -> None:
        super().__init__()
        if not 0.0 < ratio < 1.0:
            raise ValueError(f"mask.ratio must lie between 0 and 1, not {ratio}")
        if negatives < 1:
            raise ValueError(f"mask.negatives must be 1 or more, not {negatives}")
        self.ratio, self.negatives = ratio, negatives

    def forward(self, rows: Tokens, ctx: Context) -> EdgeMask:
        """Packed rows -> mask for encoder.sees=full. ValueError for tokens without edges."""
        pairs = pairs_of(relation_of(rows), len(rows.values))
        order = torch.randperm(len(pairs), generator=ctx.generator, device=rows.device)
        hidden = torch.zeros_like(order, dtype=torch.bool).index_fill(0, order[: int(self.ratio * len(pairs))], True)
        return edge_mask(rows, pairs, hidden, self.negatives, ctx)


def edge_mask(rows: Tokens, pairs: Pairs, hidden: Tensor, negatives: int, ctx: Context) -> EdgeMask:
    """The mask that hides the pairs ``hidden`` (bool ``[U]``), with ``negatives`` others for each."""
    nodes = torch.arange(len(rows.values), device=rows.device)
    positive = pairs.ends[:, hidden]
    negative = apart(positive.repeat(1, negatives), pairs, rows.layout, len(nodes), ctx.generator)
    joined = torch.zeros(positive.shape[1] + negative.shape[1], dtype=torch.bool, device=rows.device)
    joined[: positive.shape[1]] = True
    both = torch.cat([positive, negative], dim=1)
    role = torch.zeros(len(nodes), dtype=torch.int8, device=rows.device)
    return EdgeMask(role, nodes, nodes, kept=~pairs.edges(hidden), pairs=both, joined=joined)
