"""Distances between points."""

from __future__ import annotations

from torch import Tensor


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """``[..., N, 3]`` and ``[..., M, 3]`` -> ``[..., N, M]``, from differences: equal points are at 0 exactly, which the expanded
    square does not give."""
    out = (a[..., :, None, 0] - b[..., None, :, 0]).square()
    for axis in range(1, a.shape[-1]):
        out = out + (a[..., :, None, axis] - b[..., None, :, axis]).square()
    return out
