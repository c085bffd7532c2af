"""The bonds between atoms as message passing reads them: who is next to whom, and by which ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor, nn

from maskedmod.core.tokens import Relation
from maskedmod.layers.graphs.messages import Incoming, incoming


@dataclass(frozen=True)
class Neighbourhood:
    """What all layers of a network read of the bonds. ``pairs`` int64 ``[2, E]``: the edges; ``ids`` int64 ``[E, C]``: row of the
    table of bonds (see ``bond_tables``) for every id of an edge; ``loop`` int64 ``[C]``: those of an atom's bond to itself;
    ``nodes``: L atoms; ``width``: R rows of the table."""

    pairs: Tensor
    ids: Tensor
    loop: Tensor
    nodes: int
    width: int

    @staticmethod
    def of(relation: Relation, nodes: int, sizes: Sequence[int]) -> Neighbourhood:
        """``sizes``: see ``bond_tables``. Edges that are not ``kept`` are left out."""
        assert relation.attr is not None
        edges, ids = relation.edge_index, relation.attr
        if relation.kept is not None:
            edges, ids = edges[:, relation.kept], ids[relation.kept]
        starts = first_rows(sizes)
        loop = torch.tensor([sizes[0], *starts[1:]], device=ids.device)
        return Neighbourhood(edges, ids + torch.tensor(starts, device=ids.device), loop, nodes, sum(sizes) + 2)

    @cached_property
    def edges(self) -> Incoming:
        """The edges by the atom that they end in."""
        return incoming(self.pairs, self.nodes)

    @cached_property
    def looped(self) -> Incoming:
        """The same with an edge from every atom to itself."""
        own = torch.arange(self.nodes, device=self.pairs.device).expand(2, -1)
        return incoming(torch.cat([self.pairs, own], dim=1), self.nodes)

    @cached_property
    def looped_ids(self) -> Tensor:
        """Rows of the table for the edges of ``looped``, int64 ``[E + L, C]``."""
        return torch.cat([self.ids, self.loop.expand(self.nodes, -1)])[self.looped.order]

    @cached_property
    def counts(self) -> Tensor:
        """How many bonds of every atom have each row of the table, its bond to itself included, float32 ``[L, R]``."""
        place = self.pairs[1][:, None] * self.width + self.ids
        own = torch.zeros(self.width, device=self.ids.device)
        own[self.loop] = 1
        counts = own.repeat(self.nodes).index_add(0, place.flatten(), own.new_ones(place.numel()))
        return counts.view(self.nodes, self.width)

    def weighted(self, weight: Tensor) -> Tensor:
        """``counts`` where an edge of ``looped`` counts as its ``weight`` float32 ``[E + L]``, with a gradient to it."""
        place = (self.looped.row[:, None] * self.width + self.looped_ids).flatten()
        each = weight[:, None].expand(-1, self.looped_ids.shape[1]).flatten()
        return each.new_zeros(self.nodes * self.width).index_add(0, place, each).view(self.nodes, self.width)


def bond_tables(width: int, sizes: Sequence[int]) -> nn.ParameterList:
    """A vector for every value of every id of a bond. ``sizes``: how many values each id has; the first has two more,
    ``sizes[0]`` for the bond of an atom to itself and ``sizes[0] + 1`` for a hidden one. They start Xavier uniform."""
    rows = [sizes[0] + 2, *sizes[1:]]
    return nn.ParameterList(nn.init.xavier_uniform_(torch.empty(count, width)) for count in rows)


def first_rows(sizes: Sequence[int]) -> list[int]:
    """Where the rows of each id begin when its tables lie below one another."""
    return [0, *accumulate([sizes[0] + 2, *sizes[1:-1]])][: len(sizes)]
