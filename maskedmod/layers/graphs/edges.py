"""Undirected edges as pairs of nodes, and pairs that are no edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maskedmod.core.tokens import Layout, Relation


@dataclass(frozen=True)
class Pairs:
    """``ends`` int64 ``[2, U]``: every pair of different nodes that an edge joins, once, the lower node first. ``of`` int64
    ``[E]``: number of the pair that an edge belongs to, whatever its direction; -1 for self-loops."""

    ends: Tensor
    of: Tensor

    def __len__(self) -> int:
        return self.ends.shape[1]

    def edges(self, chosen: Tensor) -> Tensor:
        """bool ``[E]``: edges of the pairs ``chosen`` (bool ``[U]``), both directions of each."""
        return torch.cat([chosen, chosen.new_zeros(1)])[self.of]


def pairs_of(relation: Relation, nodes: int) -> Pairs:
    """Pairs of the edges among ``nodes`` nodes."""
    low, high = relation.edge_index.amin(0), relation.edge_index.amax(0)
    joins = low != high
    keys, number = torch.unique((low * nodes + high)[joins], return_inverse=True)
    of = torch.full_like(low, -1).masked_scatter(joins, number)
    return Pairs(torch.stack([keys // nodes, keys % nodes]), of)


def apart(
    like: Tensor,
    pairs: Pairs,
    layout: Layout,
    nodes: int,
    generator: torch.Generator | None,
    tries: int = 4,
    either: bool = False,
) -> Tensor:
    """Random pairs that no edge joins, int64 ``[2, <= n]``, for n given ones ``like`` int64 ``[2, n]``, each of two nodes of the
    same graph. Of ``tries`` draws for each, the first that are no edges count: fewer than n where a graph is almost complete.
    The lower node stands first, or with ``either`` the one that was drawn first."""
    assert layout.cu_seqlens is not None
    graph = layout.segments()[like[0]].repeat(tries)
    begin, size = layout.cu_seqlens[:-1].long()[graph], layout.cu_seqlens.diff().long()[graph]
    share = torch.rand(2, len(graph), generator=generator, device=like.device, dtype=torch.float64)
    drawn = begin + (share * size).long()
    low, high = drawn.amin(0), drawn.amax(0)
    free = (low != high) & ~torch.isin(low * nodes + high, pairs.ends[0] * nodes + pairs.ends[1])
    found = drawn if either else torch.stack([low, high])
    return found[:, free.nonzero()[: like.shape[1], 0]]
