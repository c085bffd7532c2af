"""Message passing that reads the ids of bonds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from maskedmod.core.tokens import Relation
from maskedmod.layers.graphs.messages import Incoming, incoming, neighbour_sum
from maskedmod.layers.linear import Linear


@dataclass(frozen=True)
class Neighbourhood:
    """What all layers read of the edges: ``edges``, and ``counts`` float32 ``[L, R]``, how many bonds of every node have each of
    the R values that the ids of a bond can have, its bond to itself included."""

    edges: Incoming
    counts: Tensor

    @staticmethod
    def of(relation: Relation, nodes: int, sizes: Sequence[int]) -> Neighbourhood:
        """``sizes``: see ``BondGin``. Edges that are not ``kept`` are left out."""
        assert relation.attr is not None
        edges, ids = relation.edge_index, relation.attr
        if relation.kept is not None:
            edges, ids = edges[:, relation.kept], ids[relation.kept]
        starts, width = first_rows(sizes), sum(sizes) + 2
        place = edges[1][:, None] * width + ids + torch.tensor(starts, device=ids.device)
        own = torch.zeros(width, device=ids.device)
        own[[sizes[0], *starts[1:]]] = 1
        counts = own.repeat(nodes).index_add(0, place.flatten(), own.new_ones(place.numel()))
        return Neighbourhood(incoming(edges, nodes), counts.view(nodes, width))


def first_rows(sizes: Sequence[int]) -> list[int]:
    """Where the rows of each id begin in the table of a layer; the first id has two more, for the self-loop and a hidden bond."""
    return [0, *accumulate([sizes[0] + 2, *sizes[1:-1]])][: len(sizes)]


class BondGin(nn.Module):
    """``h_v = MLP(sum over u of (h_u + e_uv))``, u over the neighbours of v and v itself (Hu et al. 2020, appendix A): GIN
    without epsilon, with a vector for every id of a bond.

    ``sizes``: how many values each id of a bond has; the first has two more, ``sizes[0]`` for the bond of an atom to itself and
    ``sizes[0] + 1`` for a hidden one. The sum of the bonds' vectors is taken as counts times table, so nothing of the size
    ``[E, D]`` but the neighbours themselves is made. Tables start Xavier uniform.
    """

    def __init__(self, width: int, out: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.mlp = nn.Sequential(Linear(width, 2 * width), nn.ReLU(), Linear(2 * width, out))
        rows = [sizes[0] + 2, *sizes[1:]]
        self.tables = nn.ParameterList(nn.init.xavier_uniform_(torch.empty(count, width)) for count in rows)

    def forward(self, x: Tensor, around: Neighbourhood) -> Tensor:
        """``[L, width]`` -> ``[L, out]``."""
        bonds = around.counts @ torch.cat(list(self.tables)).float()
        return self.mlp(x + neighbour_sum(x, around.edges) + bonds)  # type: ignore[no-any-return]
