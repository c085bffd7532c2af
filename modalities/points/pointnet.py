"""Groups of points to vectors."""

from __future__ import annotations

from torch import Tensor, nn

from maskedmod.layers.linear import Linear
from maskedmod.layers.points.grouping import SetPool


class MiniPointNet(SetPool):
    """``SetPool`` on groups of points ``[..., S, axes]`` with the widths of Point-BERT (Yu et al. 2022, section 3.1) and
    Point-MAE (Pang et al. 2022, section 3.2): 3 -> ``first`` -> ``middle`` for every point, beside the maximum -> ``last`` ->
    ``width``."""

    def __init__(self, width: int, axes: int = 3, first: int = 128, middle: int = 256, last: int = 512) -> None:
        super().__init__(axes, first, middle, last, width)


class Reduced(nn.Module):
    """Vectors of groups and a linear map from their width to another (Point-BERT, Yu et al. 2022, section 3.3)."""

    def __init__(self, groups: SetPool, inner: int, width: int) -> None:
        super().__init__()
        self.groups, self.reduce = groups, Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """Groups ``[..., S, axes]`` -> ``[..., width]``."""
        return self.reduce(self.groups(x))  # type: ignore[no-any-return]
