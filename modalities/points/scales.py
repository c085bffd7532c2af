"""Groups of points, groups of their centres, and so on: the levels of a pyramid."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from maskedmod.pyramid import Level

from .geometry import group_points


def scales(points: Tensor, sizes: Sequence[tuple[int, int]], near_origin: float | None = None) -> tuple[Level, ...]:
    """Points ``[B, P, 3]`` -> levels, finest first (Point-M2AE, Zhang et al. 2022, section 3.1). ``sizes``: number of groups and of
    points of a group, of every level; a level groups the centres of the one before. ``near_origin``: see ``farthest_points``."""
    levels: list[Level] = []
    for count, size in sizes:
        found = group_points(points, count, size, near_origin)
        levels.append(Level(found.local, found.centres, found.index))
        points = found.centres
    return tuple(levels)
