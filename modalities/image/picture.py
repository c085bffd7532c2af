"""Normalised pixels as pictures to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

GREY = 127
READABLE = 128
"""Pictures smaller than this are enlarged in whole hard-edged pixels."""


def pictures(image: Tensor, mean: Sequence[float], std: Sequence[float], hidden: Tensor | None) -> list[np.ndarray]:
    """uint8 ``[H, W, 3]`` for each of ``image`` ``[B, C, H, W]``, with the normalisation undone; grey where ``hidden`` bool
    ``[B, 1, H, W]``. Three channels and more: the first three as red, green and blue; else the first one as grey levels."""
    shown = 3 if image.shape[1] >= 3 else 1
    m, s = (torch.tensor(list(x[:shown]), dtype=torch.float32)[:, None, None] for x in (mean, std))
    low, high = _range(mean[:shown], std[:shown])
    level = (image[:, :shown].detach().float().cpu() * s + m - low) / (high - low)
    pixels = (torch.nan_to_num(level).clamp(0, 1) * 255).round().to(torch.uint8)
    if hidden is not None:
        pixels = torch.where(hidden.cpu(), torch.tensor(GREY, dtype=torch.uint8), pixels)
    pixels = pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
    factor = max(1, -(-READABLE // max(pixels.shape[1:3])))
    return [np.ascontiguousarray(one.repeat(factor, axis=0).repeat(factor, axis=1)) for one in pixels.numpy()]


def _range(mean: Sequence[float], std: Sequence[float]) -> tuple[float, float]:
    """Values drawn black and white: 0 and 1 for pixels, else 2.5 deviations around the mean (of all channels drawn). A function
    of the statistics alone, so that an original and its reconstruction are drawn alike."""
    low, high = min(m - 2.5 * s for m, s in zip(mean, std)), max(m + 2.5 * s for m, s in zip(mean, std))
    pixels = all(0 <= m <= 1 and s <= 0.5 for m, s in zip(mean, std)) and high > 0.1
    return (0.0, 1.0) if pixels else (low, max(high, low + 1e-6))


def caption(channels: int) -> str:
    """What is drawn of images that are neither grey nor RGB."""
    if channels in (1, 3):
        return ""
    return f"channels 1-3 of {channels}" if channels > 3 else "channel 1 of 2"
