"""Message passing that reads the ids of bonds: one linear map, then a weighted sum or a mean."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.layers.graphs.bond_neighbours import Neighbourhood, bond_tables
from maskedmod.layers.graphs.messages import neighbour_sum
from maskedmod.layers.linear import Linear


class BondMean(nn.Module):
    """``h_v = sum over u of a_uv (W h_u + b + e_uv)``, u over the neighbours of v and v itself, in the form that pretrain-gnns
    gives two published layers (Hu et al. 2020, section 5.1). GCN (Kipf and Welling 2017, eq. 2): ``a_uv = (d_u d_v)^-1/2``, d the
    number of neighbours with the node itself; the bias is scaled as all else. GraphSAGE (``normed``; Hamilton et al. 2017,
    algorithm 1 with the mean): ``a_uv = 1 / d_v``, then every row is divided by its length. ``sizes``: see ``bond_tables``."""

    def __init__(self, width: int, out: int, sizes: Sequence[int], normed: bool) -> None:
        super().__init__()
        self.linear, self.tables, self.normed = Linear(width, out), bond_tables(out, sizes), normed

    def forward(self, x: Tensor, around: Neighbourhood) -> Tensor:
        """``[L, width]`` -> ``[L, out]``."""
        edges = around.looped
        root = edges.degree().float().rsqrt()
        weight = root[edges.row].square() if self.normed else root[edges.row] * root[edges.source]
        bonds = around.weighted(weight) @ torch.cat(list(self.tables)).float()
        out = neighbour_sum(self.linear(x), edges, weight) + bonds
        return F.normalize(out, dim=-1) if self.normed else out
