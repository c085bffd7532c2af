"""One vector for a set of vectors, and values carried from few places to many."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from maskedmod.core.tokens import take
from maskedmod.layers.linear import Linear, linear
from maskedmod.layers.points.distances import squared_distances


class SetPool(nn.Module):
    """Two small PointNets one after the other make one vector of a set of vectors (Point-BERT, Yu et al. 2022, section 3.1;
    Point-M2AE, Zhang et al. 2022, section 3.2, merges neighbouring tokens with them): ``inputs`` -> ``first`` -> ``second`` for
    every member, their maximum over the set beside it, -> ``third`` -> ``width``, maximum. The order of the members does not
    matter. BatchNorm counts all members of all sets that are handed over, together.
    """

    def __init__(self, inputs: int, first: int, second: int, third: int, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1, self.conv2 = nn.Linear(inputs, first), nn.BatchNorm1d(first), Linear(first, second)
        self.conv3, self.norm2, self.conv4 = Linear(2 * second, third), nn.BatchNorm1d(third), Linear(third, width)

    def forward(self, x: Tensor) -> Tensor:
        """Sets ``[..., S, inputs]`` -> ``[..., width]``."""
        lead, size = x.shape[:-2], x.shape[-2]
        bias = self.conv1.bias
        x = F.relu(shifted(self.norm1, linear(x.flatten(0, -2), self.conv1.weight, rest(self.norm1, bias)), bias))
        x = self.conv2(x).unflatten(0, (-1, size))
        # conv3 of (maximum, member): the maximum is the same for all members of a set, so its part is multiplied once a set
        whole, own = (part.contiguous() for part in self.conv3.weight.split(x.shape[-1], dim=1))
        bias = self.conv3.bias
        x = linear(x, own, rest(self.norm2, bias)) + linear(x.amax(1), whole)[:, None]
        x = F.relu(shifted(self.norm2, x.flatten(0, 1), bias))
        return self.conv4(x).unflatten(0, (-1, size)).amax(1).reshape(*lead, -1)


def rest(norm: nn.Module, bias: Tensor) -> Tensor:
    """What a linear map adds before a BatchNorm: its bias, but 0 with its gradient where the norm takes the mean away anyway.
    Points of a group are small beside a bias, and single precision would lose in it what BatchNorm measures."""
    return bias - bias.detach() if norm.training else bias


def shifted(norm: nn.BatchNorm1d, x: Tensor, bias: Tensor) -> Tensor:
    """The norm of ``x`` made with ``rest``, with the running mean of what has the bias."""
    out: Tensor = norm(x)
    if norm.training and norm.running_mean is not None and norm.momentum is not None:
        norm.running_mean.data.add_(bias.detach(), alpha=norm.momentum)  # backward saved it, and does not read it in training
    return out


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
