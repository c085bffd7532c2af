"""Convolution over edges between neighbouring tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskedmod.core.tokens import take
from maskedmod.layers.linear import Linear
from maskedmod.layers.points.distances import squared_distances

SLOPE = 0.2
"""Of the leaky ReLU."""


class EdgeConvolutions(nn.Module):
    """DGCNN over a fixed neighbourhood (Wang et al. 2019, section 3.1; Point-BERT, Yu et al. 2022, section 3.2): four layers
    ``max_j act(norm(W (x_j - x_i, x_i)))`` over the ``neighbours`` nearest tokens j of i, itself included, then a last one over
    all four outputs side by side. ``base``: the first layer's input; the layers give 2, 4, 4 and 8 times that."""

    def __init__(self, inputs: int, width: int, base: int = 128, neighbours: int = 4) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.first = nn.Linear(inputs, base)
        outs = [2 * base, 4 * base, 4 * base, 8 * base]
        self.layers = nn.ModuleList(Linear(2 * a, b, bias=False) for a, b in zip([base, *outs], outs, strict=False))
        self.norms = nn.ModuleList(nn.GroupNorm(4, out) for out in outs)
        self.last, self.norm = Linear(sum(outs), width, bias=False), nn.GroupNorm(4, width)

    def forward(self, x: Tensor, pos: Tensor) -> Tensor:
        """Tokens ``[M, G, inputs]`` at ``pos`` ``[M, G, A]`` -> ``[M, G, width]``."""
        count = min(self.neighbours, pos.shape[1])
        near = squared_distances(pos, pos).topk(count, dim=-1, largest=False).indices
        x, outs = self.first(x), []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            own = x[:, :, None].expand(-1, -1, count, -1)
            edges = layer(torch.cat([take(x, near) - own, own], dim=-1))
            x = F.leaky_relu(_channels_first(norm, edges), SLOPE).amax(2)
            outs.append(x)
        return F.leaky_relu(_channels_first(self.norm, self.last(torch.cat(outs, dim=-1))), SLOPE)


def _channels_first(norm: nn.Module, x: Tensor) -> Tensor:
    """A norm over groups of channels and all places of a sample, on ``[M, ..., C]``."""
    return norm(x.movedim(-1, 1)).movedim(1, -1)  # type: ignore[no-any-return]
