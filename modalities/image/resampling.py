"""Crop, scale and mirror a padded batch on the device: one box per image, two matrix products for all of them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Interpolation = Literal["bilinear", "bicubic"]

CHUNK = 1 << 26
"""Values of the float copy of a batch that are held at a time (256 MiB)."""


@torch.no_grad()
def resample(
    image: Tensor, box: Tensor, out: tuple[int, int], flip: Tensor | None = None, interpolation: Interpolation = "bicubic"
) -> Tensor:
    """Cut a box from every image and scale it with an antialiasing filter, as Pillow does (reducing widens the filter).

    ``image`` ``[B, C, H, W]`` uint8 or float, of which only what lies in the box is looked at; ``box`` ``[B, 4]`` top, left,
    height, width in pixels; ``flip`` bool ``[B]``: mirror left to right. -> float32 ``[B, C, *out]`` on the same scale; uint8
    input is clamped to 0..255 and not rounded. Scaling is linear in each direction, so it is ``rows @ image @ columns`` with
    small matrices per image: 2 C (h H W + h W w) operations for an output of h x w, no loop over samples, no scattered reading.
    """
    rows = weights(box[:, 0], box[:, 2], image.shape[2], out[0], interpolation)
    columns = weights(box[:, 1], box[:, 3], image.shape[3], out[1], interpolation)
    if flip is not None:
        columns = torch.where(flip[:, None, None], columns.flip(1), columns)
    step = max(1, CHUNK // max(1, image[0].numel()))
    parts = []
    with torch.autocast(image.device.type, enabled=False):
        for i in range(0, len(image), step):
            part = slice(i, i + step)
            scaled = rows[part, None] @ image[part].float() @ columns[part, None].mT
            parts.append(scaled.clamp_(0, 255) if image.dtype == torch.uint8 else scaled)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def weights(start: Tensor, length: Tensor, size: int, out: int, interpolation: Interpolation) -> Tensor:
    """How much each of ``size`` input pixels gives to each of ``out`` output pixels of a box from ``start`` (``[B]``) on:
    float32 ``[B, out, size]``, rows sum to 1, 0 outside the box."""
    start, length = start.float()[:, None, None], length.float()[:, None, None]
    scale = length / out
    centre = (torch.arange(out, device=start.device)[None, :, None] + 0.5) * scale
    place = torch.arange(size, device=start.device)[None, None, :] - start
    distance = (place + 0.5 - centre) / scale.clamp(min=1.0)
    w = _cubic(distance.abs()) if interpolation == "bicubic" else (1 - distance.abs()).clamp(min=0)
    w = torch.where((place >= 0) & (place < length), w, 0.0)
    return w / w.sum(-1, keepdim=True)


def _cubic(x: Tensor) -> Tensor:
    """Cubic convolution kernel with a = -0.5 (Keys 1981), the one of Pillow and of torch's antialiased scaling."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))


def centre_box(size: Tensor, out: tuple[int, int]) -> Tensor:
    """Largest box with the shape of ``out`` in the middle of each image: sizes ``[B, 2]`` -> float ``[B, 4]``."""
    height, width = size.float().unbind(-1)
    h = torch.minimum(height, (width * (out[0] / out[1])).round().clamp(min=1))
    w = torch.minimum(width, (height * (out[1] / out[0])).round().clamp(min=1))
    return torch.stack([((height - h) / 2).floor(), ((width - w) / 2).floor(), h, w], dim=-1)
