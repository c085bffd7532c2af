"""Random resized crop and mirroring, for a whole batch at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from maskedmod.core.context import Context

from ..resampling import Interpolation, resample
from . import Augment

TRIES = 10


class Crop(Augment):
    """A part of each image with a random share of its area and a random shape, scaled to the input size (Szegedy et al. 2015,
    section 6; the rule of torchvision's RandomResizedCrop: the first of ten draws that fits, else the middle).

    ``scale``: smallest and largest share of the area; ``ratio``: of width to height, drawn on a log scale; ``flip``: mirror every
    second image; ``interpolation``: bicubic or bilinear, both antialiased. Raises ValueError for ranges that are none.
    """

    def __init__(
        self,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: bool = True,
        interpolation: Interpolation = "bicubic",
    ) -> None:
        super().__init__()
        for name, (low, high) in (("scale", scale), ("ratio", ratio)):
            if not 0 < low <= high or (name == "scale" and high > 1):
                limit = " <= 1" if name == "scale" else ""
                raise ValueError(f"crop {name} is [{low}, {high}]; expected 0 < smallest <= largest{limit}")
        self.scale, self.ratio, self.flip, self.interpolation = scale, ratio, flip, interpolation

    def forward(self, image: Tensor, size: Tensor, out: tuple[int, int], ctx: Context) -> Tensor:
        """See Augment."""
        box = self.boxes(size, out, ctx)
        flip = torch.rand(len(size), device=size.device, generator=ctx.generator) < 0.5 if self.flip else None
        return resample(image, box, out, flip, self.interpolation)

    def boxes(self, size: Tensor, out: tuple[int, int], ctx: Context) -> Tensor:
        """Boxes (top, left, height, width) in whole pixels for sizes ``[B, 2]``: float ``[B, 4]``."""
        draw = torch.rand(4, len(size), TRIES, device=size.device, generator=ctx.generator)
        height, width = size.float().unbind(-1)
        area = (height * width)[:, None] * (self.scale[0] + draw[0] * (self.scale[1] - self.scale[0]))
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        ratio = torch.exp(low + draw[1] * (high - low))
        w, h = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        fits = (w >= 1) & (h >= 1) & (w <= width[:, None]) & (h <= height[:, None])
        first = fits.to(torch.uint8).argmax(-1, keepdim=True)
        w, h, top, left = (x.gather(1, first)[:, 0] for x in (w, h, draw[2], draw[3]))
        top = (top * (height - h + 1)).floor().clamp(min=0).minimum(height - h)
        left = (left * (width - w + 1)).floor().clamp(min=0).minimum(width - w)
        return torch.where(fits.any(-1)[:, None], torch.stack([top, left, h, w], dim=-1), self._middle(size))

    def _middle(self, size: Tensor) -> Tensor:
        """The whole image, cut to the nearest allowed shape in the middle."""
        height, width = size.float().unbind(-1)
        shape = (width / height).clamp(*self.ratio)
        h, w = torch.minimum(height, (width / shape).round()), torch.minimum(width, (height * shape).round())
        return torch.stack([((height - h) / 2).floor(), ((width - w) / 2).floor(), h, w], dim=-1)
