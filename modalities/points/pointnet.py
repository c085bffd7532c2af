"""Groups of points to vectors."""

from __future__ import annotations

from maskedmod.layers.points.grouping import SetPool


class MiniPointNet(SetPool):
    """``SetPool`` on groups of points ``[..., S, axes]`` with the widths of Point-BERT (Yu et al. 2022, section 3.1) and
    Point-MAE (Pang et al. 2022, section 3.2): 3 -> ``first`` -> ``middle`` for every point, beside the maximum -> ``last`` ->
    ``width``."""

    def __init__(self, width: int, axes: int = 3, first: int = 128, middle: int = 256, last: int = 512) -> None:
        super().__init__(axes, first, middle, last, width)
