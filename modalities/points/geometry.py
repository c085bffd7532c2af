"""Farthest points, nearest neighbours and groups of points, batched, in plain torch on any device.

Letters in shapes: ``B`` clouds, ``P`` points of a cloud, ``G`` centres, ``S`` points of a group. Results are in the precision
of the points: float64 clouds are measured in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maskedmod.layers.points.distances import farthest_points, squared_distances

ELEMENTS = 2**24
"""Distances held at once while neighbours are looked for: 64 MB in float32."""


@dataclass(frozen=True)
class Groups:
    """Local groups of points.

    ``centres`` ``[B, G, 3]``; ``centre_index`` int64 ``[B, G]`` into the points, in the order they were chosen; ``index`` int64
    ``[B, G, S]``: each group's points, nearest first; ``local`` ``[B, G, S, 3]``: the same relative to their centre.
    """

    centres: Tensor
    centre_index: Tensor
    index: Tensor
    local: Tensor


def take_points(points: Tensor, index: Tensor) -> Tensor:
    """Points ``[B, P, C]`` at ``index`` int64 ``[B, ...]`` -> ``[B, ..., C]``."""
    flat = index.flatten(1)
    picked = points.gather(1, flat[..., None].expand(*flat.shape, points.shape[-1]))
    return picked.reshape(*index.shape, points.shape[-1])


def nearest_points(queries: Tensor, points: Tensor, count: int) -> Tensor:
    """The ``count`` points ``[B, P, 3]`` nearest to each query ``[B, G, 3]``, by Euclidean distance: int64 ``[B, G, count]``,
    nearest first, of equally near points the first. Raises ValueError where a cloud has fewer than ``count`` points.
    """
    b, g, p = len(points), queries.shape[1], points.shape[1]
    if count > p:
        raise ValueError(f"nearest points: {count} neighbours asked of a cloud of {p} points")
    rows = max(1, ELEMENTS // max(1, b * p))
    parts = [_nearest(queries[:, i : i + rows].detach(), points.detach(), count) for i in range(0, g, rows)]
    return torch.cat(parts, dim=1)


def _nearest(queries: Tensor, points: Tensor, count: int) -> Tensor:
    distance = squared_distances(queries, points)
    if distance.dtype != torch.float32:
        return distance.sort(dim=-1, stable=True).indices[..., :count]
    # topk promises no order among equals: the bits of a float32 that is not negative sort like an integer, so the index goes
    # below them in one int64 (adding 0.0 turns -0.0 into 0.0)
    key = (distance + 0.0).view(torch.int32).long() << 32
    key |= torch.arange(points.shape[1], device=points.device)
    return key.topk(count, dim=-1, largest=False, sorted=True).values & 0xFFFFFFFF


def group_points(points: Tensor, count: int, size: int, near_origin: float | None = None) -> Groups:
    """Points ``[B, P, 3]`` -> ``count`` groups of ``size`` neighbours around farthest points (Point-MAE, Pang et al. 2022,
    section 3.1). A centre belongs to its own group. Groups overlap, and points between them may belong to none."""
    centre_index = farthest_points(points, count, near_origin=near_origin)
    centres = take_points(points, centre_index)
    index = nearest_points(centres, points, size)
    return Groups(centres, centre_index, index, take_points(points, index) - centres[..., None, :])
