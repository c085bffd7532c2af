"""Features of a cloud without any learning."""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 16


def hand_features(points: Tensor) -> Tensor:
    """Normalised clouds ``[B, P, 3]`` -> ``[B, 9 + 5 * 16]``: extent on each axis; deviation along the principal axes, in order,
    and their upward parts; shares of the points by height (last axis) between lowest and highest, by distance from the centre and
    from the vertical through it, by distance between pairs of points (Osada et al. 2002, D2), and by area of triangles (D3)."""
    points = points.float()
    low, high = points.amin(1), points.amax(1)
    own = points - points.mean(1, keepdim=True)
    values, axes = torch.linalg.eigh(own.transpose(1, 2) @ own / own.shape[1])
    shape = [high - low, values.clamp(min=0).sqrt(), axes[:, 2].abs()]
    reach = own.norm(dim=-1).amax(1, keepdim=True).clamp(min=1e-12)
    height = (points[..., 2] - low[:, 2:]) / (high - low)[:, 2:].clamp(min=1e-12)
    draw = torch.Generator().manual_seed(0)  # the same points of every cloud, in no order
    a, b, c = (own[:, torch.randint(own.shape[1], (2048,), generator=draw)] for _ in range(3))
    spread = [
        height,
        own.norm(dim=-1) / reach,
        own[..., :2].norm(dim=-1) / reach,
        (a - b).norm(dim=-1) / (2 * reach),
        torch.linalg.cross(b - a, c - a).norm(dim=-1).sqrt() / (2 * reach),
    ]
    return torch.cat([*shape, *(_histogram(x) for x in spread)], dim=1)


def _histogram(x: Tensor) -> Tensor:
    """Shares of values ``[B, n]`` between 0 and 1 in equal bins, ``[B, BINS]``."""
    at = (x * BINS).long().clamp(0, BINS - 1)
    return torch.zeros(len(x), BINS, device=x.device).scatter_add_(1, at, torch.ones_like(x)) / x.shape[1]
