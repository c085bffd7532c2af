"""A neighbourhood in space."""

from __future__ import annotations

import torch

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import Count, from_noise
from maskedmod.core.schedules import Ramp, value
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.masks.random import RatioSampler


class Neighborhood(Mask):
    """Hide the tokens nearest to a random one of them, by Euclidean distance of their positions: one hole in every sample
    (Point-BERT, Yu et al. 2022, section 3.3; block masking of Point-MAE, Pang et al. 2022, section 3.2).

    ``ratio``: a number, a schedule ``{start, end}``, or a sampler ``{low, high}`` per batch (Point-BERT 0.25 to 0.45).
    ``count``: how the share becomes a number: keep_int, mask_int, mask_ceil, mask_round. ``masks_per_sample``: K. Padding and
    ineligible tokens are never hidden nor in the middle. Dense tokens of any number of axes.
    """

    def __init__(
        self,
        spec: Spec,
        ratio: float | Ramp | RatioSampler = 0.6,
        count: Count = "mask_int",
        masks_per_sample: int = 1,
    ) -> None:
        super().__init__()
        if not isinstance(ratio, Ramp | RatioSampler) and not 0.0 < ratio < 1.0:
            raise ValueError(f"mask.ratio must lie between 0 and 1, not {ratio}")
        self.ratio, self.count, self.per_sample = ratio, count, masks_per_sample

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        """Dense rows -> MaskSet with one target set, its tokens from the rim to the middle."""
        if rows.layout.packed:
            raise ValueError("mask=neighborhood needs tokens of equal number in all samples, these are packed; use mask=random")
        ratio = self.ratio.draw(ctx) if isinstance(self.ratio, RatioSampler) else value(self.ratio, ctx)
        draw, maskable = torch.rand(rows.shape, generator=ctx.generator, device=rows.device), rows.maskable()
        if maskable is not None:
            draw = draw.masked_fill(~maskable, -1.0)
        pos = rows.pos.float()
        middle = pos.gather(1, draw.argmax(1)[:, None, None].expand(-1, 1, pos.shape[-1]))
        distance = (pos - middle).square().sum(-1)
        if maskable is not None:
            distance = distance.masked_fill(~maskable, torch.inf)
        nearness = 1.0 - distance.argsort(dim=1, stable=True).argsort(dim=1) / rows.shape[1]
        return from_noise(nearness, ratio, rows, self.count, self.per_sample)
