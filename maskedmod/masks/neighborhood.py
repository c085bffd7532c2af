"""A neighbourhood in space."""

from __future__ import annotations

import torch
from torch import Tensor

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import Count, from_masked_rows, from_noise, masked_counts
from maskedmod.core.schedules import Ramp, value
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.layers.corruption import swapped
from maskedmod.masks.random import RatioSampler


class Neighborhood(Mask):
    """Hide the tokens nearest to a random one of them, by Euclidean distance of their positions: one hole in every sample
    (Point-BERT, Yu et al. 2022, section 3.3; block masking of Point-MAE, Pang et al. 2022, section 3.2).

    ``ratio``: a number, a schedule ``{start, end}``, or a sampler ``{low, high}`` per batch (Point-BERT 0.25 to 0.45).
    ``each``: every row draws its own ratio in [low, high] (Point-BERT's released code). ``count``: how the share becomes a
    number: keep_int, mask_int, mask_ceil, mask_round. ``swap``: share of the tokens left whose vector becomes that of a random
    token of the batch; they are predicted as well (Point-BERT's replace_pob); for encoder.sees=corrupt. ``masks_per_sample``:
    K. Padding and ineligible tokens are never hidden nor in the middle. Dense tokens of any number of axes.
    """

    def __init__(
        self,
        spec: Spec,
        ratio: float | Ramp | RatioSampler = 0.6,
        count: Count = "mask_int",
        masks_per_sample: int = 1,
        each: bool = False,
        swap: float = 0.0,
    ) -> None:
        super().__init__()
        if each and not (isinstance(ratio, RatioSampler) and ratio.kind == "uniform"):
            raise ValueError("mask.each=true draws a ratio for every row: give mask.ratio={low: ..., high: ...}")
        if not 0.0 <= swap < 1.0 or (swap and spec.sees != "corrupt"):
            raise ValueError(f"mask.swap={swap} must be below 1 and is for encoder.sees=corrupt, which is {spec.sees} here")
        self.each, self.swap, self.corrupts = each, swap, spec.sees == "corrupt"
        if not isinstance(ratio, Ramp | RatioSampler) and not 0.0 < ratio < 1.0:
            raise ValueError(f"mask.ratio must lie between 0 and 1, not {ratio}")
        self.ratio, self.count, self.per_sample = ratio, count, masks_per_sample

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        """Dense rows -> MaskSet with one target set, its tokens from the rim to the middle."""
        if rows.layout.packed:
            raise ValueError("mask=neighborhood needs tokens of equal number in all samples, these are packed; use mask=random")
        draw, maskable = torch.rand(rows.shape, generator=ctx.generator, device=rows.device), rows.maskable()
        if maskable is not None:
            draw = draw.masked_fill(~maskable, -1.0)
        pos = rows.pos.float()
        middle = pos.gather(1, draw.argmax(1)[:, None, None].expand(-1, 1, pos.shape[-1]))
        distance = (pos - middle).square().sum(-1)
        if maskable is not None:
            distance = distance.masked_fill(~maskable, torch.inf)
        rank = distance.argsort(dim=1, stable=True).argsort(dim=1)
        mask = self._each(rank, rows, maskable, ctx) if self.each else self._all(rank, rows, ctx)
        return swapped(mask, self.swap, rows, ctx.generator) if self.swap or self.corrupts else mask

    def _all(self, rank: Tensor, rows: Tokens, ctx: Context) -> MaskSet:
        """One ratio for all rows."""
        ratio = self.ratio.draw(ctx) if isinstance(self.ratio, RatioSampler) else value(self.ratio, ctx)
        return from_noise(1.0 - rank / rows.shape[1], ratio, rows, self.count, self.per_sample)

    def _each(self, rank: Tensor, rows: Tokens, maskable: Tensor | None, ctx: Context) -> MaskSet:
        """A ratio for every row."""
        assert isinstance(self.ratio, RatioSampler)
        n = rank.shape[1] if maskable is None else maskable.sum(1)
        share = torch.rand(len(rank), generator=ctx.generator, device=rank.device, dtype=torch.float64)
        ratio = self.ratio.low + (self.ratio.high - self.ratio.low) * share
        counts = masked_counts(ratio.new_ones(len(rank)) * n, ratio, self.count)
        return from_masked_rows(rank < counts[:, None], rows, self.per_sample)
