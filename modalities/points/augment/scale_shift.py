"""Stretch and move clouds, as Point-MAE does."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.context import Context


class ScaleShift(nn.Module):
    """``x * s + t`` with s and t drawn for every cloud and axis (``PointcloudScaleAndTranslate`` of Point-MAE's code).

    ``low``, ``high``: range of s; ``shift``: t lies between -shift and shift, in units of the normalised cloud.
    ``rotate``: a turn about the ``up`` axis (0, 1, 2) first, any angle, for clouds whose heading means nothing. Raises ValueError
    for ranges that are none.
    """

    def __init__(self, low: float = 2 / 3, high: float = 1.5, shift: float = 0.2, rotate: bool = False, up: int = 2) -> None:
        super().__init__()
        if not 0 < low <= high or shift < 0 or up not in (0, 1, 2):
            raise ValueError(f"scale_shift: low={low}, high={high}, shift={shift}, up={up}; expected 0 < low <= high, 0 <= shift")
        self.low, self.high, self.shift, self.rotate, self.up = low, high, shift, rotate, up

    def forward(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """``batch``: ``points`` float ``[B, P, 3]``."""
        points: Tensor = batch["points"]
        draw = torch.rand(7, len(points), 1, generator=ctx.generator, device=points.device)
        if self.rotate:
            points = turned(points, draw[6, :, 0] * 2 * torch.pi, self.up)
        scale = self.low + draw[:3].permute(1, 2, 0) * (self.high - self.low)
        move = (draw[3:6].permute(1, 2, 0) * 2 - 1) * self.shift
        return {**batch, "points": points * scale + move}


def turned(points: Tensor, angle: Tensor, up: int) -> Tensor:
    """Clouds ``[B, P, 3]`` turned about an axis by ``angle`` ``[B]`` in radians."""
    a, b = (axis for axis in range(3) if axis != up)
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    out = points.clone()
    out[..., a] = cos * points[..., a] - sin * points[..., b]
    out[..., b] = sin * points[..., a] + cos * points[..., b]
    return out
