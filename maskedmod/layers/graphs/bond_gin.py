"""Message passing that reads the ids of bonds: a sum, then a small network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maskedmod.layers.graphs.bond_neighbours import Neighbourhood, bond_tables
from maskedmod.layers.graphs.messages import neighbour_sum
from maskedmod.layers.linear import Linear


class BondGin(nn.Module):
    """``h_v = MLP(sum over u of (h_u + e_uv))``, u over the neighbours of v and v itself (Hu et al. 2020, appendix A): GIN
    without epsilon, with a vector for every id of a bond. ``sizes``: see ``bond_tables``.

    The sum of the bonds' vectors is taken as counts times table, so nothing of the size ``[E, D]`` but the neighbours themselves
    is made.
    """

    def __init__(self, width: int, out: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.mlp = nn.Sequential(Linear(width, 2 * width), nn.ReLU(), Linear(2 * width, out))
        self.tables = bond_tables(width, sizes)

    def forward(self, x: Tensor, around: Neighbourhood) -> Tensor:
        """``[L, width]`` -> ``[L, out]``."""
        bonds = around.counts @ torch.cat(list(self.tables)).float()
        return self.mlp(x + neighbour_sum(x, around.edges) + bonds)  # type: ignore[no-any-return]
