"""Whole lines of a lattice: time frames, frequency bands, video frames, strips."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import Count, from_masked, from_masked_rows, from_noise, masked_count
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens


class Axis(Mask):
    """Hide a share of the lines along each axis; a token is hidden when any of its lines is.

    ``ratios``: one share per lattice axis, 0 = none (spectrograms: [time, frequency]; Audio-MAE's structured masking, Huang et
    al. 2022, section 3). A share on the last axes of a video alone is tube masking. ``count``: as in ``random``.
    """

    def __init__(
        self, spec: Spec, ratios: Sequence[float] = (0.6, 0.5), count: Count = "keep_int", masks_per_sample: int = 1
    ) -> None:
        super().__init__()
        if len(ratios) != spec.axes:
            raise ValueError(f"mask.ratios has {len(ratios)} shares, this modality has {spec.axes} axes")
        if not any(ratios) or any(not 0.0 <= r < 1.0 for r in ratios):
            raise ValueError(f"mask.ratios must lie between 0 and 1 with at least one above 0, not {list(ratios)}")
        self.ratios, self.count, self.per_sample = tuple(ratios), count, masks_per_sample

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        """Dense rows on a lattice -> MaskSet."""
        grid = rows.layout.grid
        if grid is None:
            raise ValueError("mask=axis needs tokens on a lattice")
        masked = torch.zeros(rows.shape, dtype=torch.bool, device=rows.device)
        for axis, ratio in enumerate(self.ratios):
            if ratio:
                noise = torch.rand(rows.shape[0], grid[axis], generator=ctx.generator, device=rows.device)
                lines = from_noise(noise, ratio, None, self.count).hidden
                masked |= lines.gather(1, rows.pos[..., axis])
        if rows.maskable() is not None:
            return from_masked_rows(masked, rows, self.per_sample)
        hidden = self._number(grid)
        return from_masked(masked, hidden, hidden, self.per_sample)

    def _number(self, grid: tuple[int, ...]) -> int:
        """Hidden tokens of a full lattice, known beforehand."""
        kept = 1
        total = 1
        for size, ratio in zip(grid, self.ratios, strict=True):
            kept *= size - (masked_count(size, ratio, self.count) if ratio else 0)
            total *= size
        return total - kept
