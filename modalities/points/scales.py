"""Groups of points, groups of their centres, and so on: the levels of a pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from maskedmod.core.pyramid import Level
from maskedmod.errors import UserError

from .geometry import group_points


def check_scales(sizes: Sequence[tuple[int, int]], level: int) -> None:
    """UserError for levels that ask for more centres or members than the level before has, or a ``level`` that is not there."""
    for (below, _), (count, size) in pairwise(sizes):
        if not (1 <= count <= below and 1 <= size <= below):
            raise UserError(f"coarser: {count} groups of {size} cannot be made of the {below} centres of the level before")
    if not 0 <= level < len(sizes):
        raise UserError(f"level={level}: there are levels 0 to {len(sizes) - 1}")


def scales(points: Tensor, sizes: Sequence[tuple[int, int]], near_origin: float | None = None) -> tuple[Level, ...]:
    """Points ``[B, P, 3]`` -> levels, finest first (Point-M2AE, Zhang et al. 2022, section 3.1). ``sizes``: number of groups and
    points of a group, of every level; a level groups the centres of the one before. ``near_origin``: see ``farthest_points``."""
    levels: list[Level] = []
    for count, size in sizes:
        found = group_points(points, count, size, near_origin)
        levels.append(Level(found.local, found.centres, found.index))
        points = found.centres
    return tuple(levels)
