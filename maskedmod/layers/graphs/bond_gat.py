"""Message passing that reads the ids of bonds: attention."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.layers.graphs.bond_neighbours import Neighbourhood, bond_tables
from maskedmod.layers.graphs.messages import neighbour_sum, softmax
from maskedmod.layers.linear import Linear


class BondGat(nn.Module):
    """Graph attention (Velickovic et al. 2018) in the form of pretrain-gnns (Hu et al. 2020, section 5.1): ``m_uv = W h_u + b +
    e_uv`` for the neighbours u of v and v itself; ``a_uv = softmax_u(LeakyReLU(s . (W h_v + b) + t . m_uv))``; the heads' sums
    of ``a_uv m_uv``, each as wide as the output, are averaged, then a bias is added. ``sizes``: see ``bond_tables``."""

    def __init__(self, width: int, out: int, sizes: Sequence[int], heads: int = 2, slope: float = 0.2) -> None:
        super().__init__()
        if heads < 1:
            raise ValueError(f"encoder.heads must be at least 1, not {heads}")
        self.heads, self.slope = heads, slope
        self.linear, self.tables = Linear(width, heads * out), bond_tables(heads * out, sizes)
        self.target, self.source = (nn.Parameter(nn.init.xavier_uniform_(torch.empty(heads, out))) for _ in range(2))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor, around: Neighbourhood) -> Tensor:
        """``[L, width]`` -> ``[L, out]``."""
        edges, heads = around.looped, self.heads
        x = self.linear(x).float().unflatten(1, (heads, -1))
        table = torch.cat(list(self.tables)).float().unflatten(1, (heads, -1))
        of_bonds = (table * self.source).sum(-1)[around.looped_ids].sum(1)
        logits = (x * self.target).sum(-1)[edges.row] + (x * self.source).sum(-1)[edges.source] + of_bonds
        weight = softmax(F.leaky_relu(logits, self.slope), edges)
        sums = [
            neighbour_sum(x[:, head], edges, weight[:, head]) + around.weighted(weight[:, head]) @ table[:, head]
            for head in range(heads)
        ]
        return torch.stack(sums).mean(0) + self.bias
