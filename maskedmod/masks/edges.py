"""Edges of graphs, hidden at random."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.layers.graphs.edges import Pairs, apart, pairs_of
from maskedmod.layers.graphs.hidden_edges import EdgeMask, relation_of

Directions = Literal["both", "apart"]
"""Whether both directions of an edge are hidden together, or each by itself, see ``one_way``."""


class Edges(Mask):
    """Hide ``int(ratio * n)`` of the n pairs of nodes that edges join, in both directions, drawn over all graphs of a batch
    (MGAE, Tan et al. 2023, section 3.2). Self-loops stay. ``negatives``: pairs that no edge joins, for every hidden one.
    ``among``: ``graph``, no edge of the graph; or ``remaining``, none that is left, so that a hidden one may be drawn, in either
    order (the released code). ``directions``: see ``one_way``; ``apart`` hides each direction with probability ``ratio``."""

    def __init__(
        self,
        spec: Spec,
        ratio: float = 0.7,
        negatives: int = 1,
        among: Literal["graph", "remaining"] = "graph",
        directions: Directions = "both",
    ) -> None:
        super().__init__()
        if not 0.0 < ratio < 1.0:
            raise ValueError(f"mask.ratio must lie between 0 and 1, not {ratio}")
        if negatives < 1:
            raise ValueError(f"mask.negatives must be 1 or more, not {negatives}")
        self.ratio, self.negatives, self.among = ratio, negatives, among
        if directions == "apart" and among == "remaining":
            raise ValueError("mask=edges: directions=apart goes with among=graph alone")
        self.directions = directions

    def forward(self, rows: Tokens, ctx: Context) -> EdgeMask:
        """Packed rows -> mask for encoder.sees=full. ValueError for tokens without edges."""
        pairs = pairs_of(relation_of(rows), len(rows.values))
        if self.directions == "apart":
            noise = torch.rand(len(pairs.of), generator=ctx.generator, device=rows.device)
            return one_way(rows, pairs, (noise < self.ratio) & (pairs.of >= 0), self.negatives, ctx)
        order = torch.randperm(len(pairs), generator=ctx.generator, device=rows.device)
        hidden = torch.zeros_like(order, dtype=torch.bool).index_fill(0, order[: int(self.ratio * len(pairs))], True)
        return edge_mask(rows, pairs, hidden, self.negatives, ctx, self.among == "remaining")


def one_way(rows: Tokens, pairs: Pairs, taken: Tensor, negatives: int, ctx: Context) -> EdgeMask:
    """``directions=apart``: the mask that asks for single directions of edges, ``taken`` (bool ``[E]``). An edge of which one
    direction is left is put back in both, so that what is asked for may be seen (MaskGAE's released code)."""
    of = pairs.of.remainder(len(pairs) + 1)  # self-loops last
    left = torch.zeros(len(pairs) + 1, dtype=torch.long, device=rows.device).index_add(0, of, (~taken).long())[:-1]
    positive = relation_of(rows).edge_index[:, taken]
    negative = apart(positive.repeat(1, negatives), pairs, rows.layout, len(rows.values), ctx.generator, either=True)
    return replace(given_pairs(rows, pairs, left == 0, positive, negative), directed=True)


def edge_mask(rows: Tokens, pairs: Pairs, hidden: Tensor, negatives: int, ctx: Context, remaining: bool = False) -> EdgeMask:
    """The mask that hides the pairs ``hidden`` (bool ``[U]``), with ``negatives`` others for each, see ``Edges.among``."""
    positive = pairs.ends[:, hidden]
    known = replace(pairs, ends=pairs.ends[:, ~hidden]) if remaining else pairs
    negative = apart(positive.repeat(1, negatives), known, rows.layout, len(rows.values), ctx.generator, either=remaining)
    return given_pairs(rows, pairs, hidden, positive, negative)


def given_pairs(rows: Tokens, pairs: Pairs, hidden: Tensor, positive: Tensor, negative: Tensor) -> EdgeMask:
    """The mask that hides the pairs ``hidden`` and asks for ``positive`` and ``negative`` ones, int64 ``[2, n]``."""
    nodes = torch.arange(len(rows.values), device=rows.device)
    joined = torch.zeros(positive.shape[1] + negative.shape[1], dtype=torch.bool, device=rows.device)
    joined[: positive.shape[1]] = True
    both = torch.cat([positive, negative], dim=1)
    role = torch.zeros(len(nodes), dtype=torch.int8, device=rows.device)
    return EdgeMask(role, nodes, nodes, kept=~pairs.edges(hidden), pairs=both, joined=joined)
