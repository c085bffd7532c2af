"""Edges of graphs, hidden at random."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Relation, Tokens
from maskedmod.layers.graphs.edges import Pairs, apart, pairs_of


@dataclass
class EdgeMask(MaskSet):
    """A mask that hides edges and no node. ``kept`` bool ``[E]``. ``pairs`` int64 ``[2, P]``: the hidden pairs of nodes, and
    behind them pairs that no edge joins; ``joined`` bool ``[P]`` tells them apart."""

    kept: Tensor | None = None
    pairs: Tensor | None = None
    joined: Tensor | None = None

    def rewrite(self, rows: Tokens) -> Tokens:
        """rows without the hidden edges."""
        return replace(rows, relation=replace(relation_of(rows), kept=self.kept))


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


def relation_of(tokens: Tokens) -> Relation:
    """Edges of the tokens. ValueError where they have none."""
    if tokens.relation is None or not tokens.layout.packed:
        raise ValueError("masks of edges are for packed nodes with edges: modality=graph")
    return tokens.relation


def hidden_edges(mask: MaskSet) -> tuple[Tensor, Tensor]:
    """Pairs int64 ``[2, P]`` and whether an edge joined them, bool ``[P]``. ValueError under a mask that hides no edges."""
    if not isinstance(mask, EdgeMask):
        raise ValueError("edges are predicted under mask=edges or mask=paths")
    assert mask.pairs is not None and mask.joined is not None
    return mask.pairs, mask.joined
