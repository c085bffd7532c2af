"""Groups of points to vectors."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from maskedmod.layers.linear import Linear, linear


class MiniPointNet(nn.Module):
    """Two small PointNets one after the other (Point-BERT, Yu et al. 2022, section 3.1; Point-MAE, Pang et al. 2022, section
    3.2): 3 -> 128 -> ``middle`` for every point, its maximum over the group beside it, -> 512 -> ``width``, maximum. What it
    gives does not depend on the order of a group's points. BatchNorm counts all points of all groups handed over, together.
    """

    def __init__(self, width: int, axes: int = 3, first: int = 128, middle: int = 256, last: int = 512) -> None:
        super().__init__()
        self.axes, self.middle = axes, middle
        self.conv1, self.norm1, self.conv2 = nn.Linear(axes, first), nn.BatchNorm1d(first), Linear(first, middle)
        self.conv3, self.norm2, self.conv4 = Linear(2 * middle, last), nn.BatchNorm1d(last), Linear(last, width)

    def forward(self, values: Tensor) -> Tensor:
        """Groups ``[..., S, axes]`` -> ``[..., width]``."""
        lead, size = values.shape[:-2], values.shape[-2]
        x = F.relu(self.norm1(self.conv1(values.reshape(-1, self.axes))))
        x = self.conv2(x).unflatten(0, (-1, size))
        # conv3 of (maximum, point): the maximum is the same for all points of a group, so its part is multiplied once a group
        whole, own = (part.contiguous() for part in self.conv3.weight.split(self.middle, dim=1))
        x = linear(x, own, self.conv3.bias) + linear(x.amax(1), whole)[:, None]
        x = F.relu(self.norm2(x.flatten(0, 1)))
        return self.conv4(x).unflatten(0, (-1, size)).amax(1).reshape(*lead, -1)
