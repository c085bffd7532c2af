"""Distances between points, and points far from one another.

Letters in shapes: ``B`` clouds, ``P`` points of a cloud.
"""

from __future__ import annotations

import torch
from torch import Tensor


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """``[..., N, 3]`` and ``[..., M, 3]`` -> ``[..., N, M]``, from differences: equal points are at 0 exactly, which the expanded
    square does not give."""
    out = (a[..., :, None, 0] - b[..., None, :, 0]).square()
    for axis in range(1, a.shape[-1]):
        out = out + (a[..., :, None, axis] - b[..., None, :, axis]).square()
    return out


def farthest_points(points: Tensor, count: int, first: int = 0, near_origin: float | None = None) -> Tensor:
    """Farthest point sampling (Qi et al. 2017, PointNet++, section 3.2): points ``[B, P, 3]`` -> int64 ``[B, count]``.

    Begins at index ``first`` and goes on to the point farthest from all chosen ones; of equally far points to the first. With
    fewer different points than ``count``, some come again. ``near_origin``: points with a squared norm up to this are never
    chosen after the first; the reference's CUDA operator uses 1e-3, which drops what fills up clouds there. A cloud in which
    all points are such repeats index 0. Raises ValueError for an empty cloud or a ``first`` outside it.
    """
    b, p, _ = points.shape
    if p == 0 or not 0 <= first < p:
        raise ValueError(f"farthest points: a cloud of {p} points has no index {first}")
    x, y, z = points.detach().permute(2, 0, 1).contiguous()  # three planes: each step reads memory in order
    rows = torch.arange(b, device=points.device)
    distance = torch.full((b, p), torch.inf, dtype=points.dtype, device=points.device)
    barred = None if near_origin is None else x * x + y * y + z * z <= near_origin
    chosen = torch.empty(b, count, dtype=torch.int64, device=points.device)
    at = torch.full((b,), first, device=points.device)
    step, part = torch.empty_like(x), torch.empty_like(x)
    for i in range(count):
        chosen[:, i] = at
        if i + 1 == count:
            break
        torch.sub(x, x[rows, at][:, None], out=step).square_()
        step += torch.sub(y, y[rows, at][:, None], out=part).square_()
        step += torch.sub(z, z[rows, at][:, None], out=part).square_()
        torch.minimum(distance, step, out=distance)
        if barred is not None and i == 0:  # stays the smallest from here on
            distance.masked_fill_(barred, -1.0)
        at = distance.argmax(1)
    return chosen
