"""One vector for a set of vectors, and values carried from few places to many."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskedmod.distances import squared_distances
from maskedmod.tokens import take


class SetPool(nn.Module):
    """Mini-PointNet: a set of vectors -> one vector, whatever their order (Qi et al. 2017; Point-M2AE, Zhang et al. 2022, section
    3.2, merges neighbouring tokens with it).

    Two layers on every member, the maximum over the set put before every member, two more layers, the maximum. ``first`` and
    ``second``: widths of the layers on members, ``third``: of the layer after. BatchNorm counts every member of every set.
    """

    def __init__(self, inputs: int, first: int, second: int, third: int, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1, self.conv2 = nn.Linear(inputs, first), nn.BatchNorm1d(first), nn.Linear(first, second)
        self.conv3, self.norm2, self.conv4 = nn.Linear(2 * second, third), nn.BatchNorm1d(third), nn.Linear(third, width)

    def forward(self, x: Tensor) -> Tensor:
        """x ``[..., S, inputs]`` -> ``[..., width]``."""
        x = self.conv2(each(self.norm1, self.conv1(x)).relu())
        x = torch.cat([x.amax(-2, keepdim=True).expand_as(x), x], dim=-1)
        return self.conv4(each(self.norm2, self.conv3(x)).relu()).amax(-2)


def each(norm: nn.Module, x: Tensor) -> Tensor:
    """A norm over channels on ``[..., C]``, every leading place a sample of its own."""
    return norm(x.flatten(0, -2)).reshape(x.shape)  # type: ignore[no-any-return]


def interpolate(x: Tensor, at: Tensor, known: Tensor, count: int = 3, eps: float = 1e-8) -> Tensor:
    """Values ``[M, K, D]`` at places ``known`` ``[M, K, A]`` -> values at ``at`` ``[M, N, A]``: the mean over the ``count``
    nearest with weights 1 / (squared distance + eps) (PointNet++, Qi et al. 2017, section 3.4)."""
    distance, index = squared_distances(at, known).topk(min(count, known.shape[1]), dim=-1, largest=False)
    weight = 1.0 / (distance + eps)
    weight = weight / weight.sum(-1, keepdim=True)
    return (take(x, index) * weight[..., None].to(x.dtype)).sum(2)
