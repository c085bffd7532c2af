"""Rectangles of a lattice (BEiT)."""

from __future__ import annotations

import math

import numpy as np
import torch

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import from_masked, from_masked_rows
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens


class Block(Mask):
    """Block-wise masking (Bao et al. 2022, BEiT, algorithm 1): rectangles with area U(``least``, what is left) and log-uniform
    aspect are laid until ``target`` tokens are hidden, or 10 draws in a row do not fit.

    ``target``: number of tokens (BEiT 75, MaskFeat 78, data2vec 120 of 196) or ``ratio``: their share (exactly one of them).
    ``most``: largest area of one rectangle (default: no limit). ``aspect``: smallest aspect ratio; the largest is its inverse.
    ``exact``: hide or free single tokens at random until the number is exact (BEiT may end short).
    ``inverse``: the rectangles are kept and the rest is hidden (data2vec 2.0). All rows are drawn together on the host.
    """

    def __init__(
        self,
        spec: Spec,
        target: int | None = None,
        ratio: float | None = None,
        least: int = 16,
        most: int | None = None,
        aspect: float = 0.3,
        exact: bool = False,
        inverse: bool = False,
        masks_per_sample: int = 1,
    ) -> None:
        super().__init__()
        if (target is None) == (ratio is None):
            raise ValueError(f"mask=block needs either target or ratio, got target={target}, ratio={ratio}")
        if spec.axes != 2:
            raise ValueError(f"mask=block needs two axes, this modality has {spec.axes}")
        self.target, self.ratio, self.least, self.most, self.aspect = target, ratio, least, most, aspect
        self.exact, self.inverse, self.per_sample = exact, inverse, masks_per_sample

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        """Dense rows on a two-axis lattice -> MaskSet."""
        grid = rows.layout.grid
        if grid is None or len(grid) != 2:
            raise ValueError("mask=block needs tokens that fill a two-axis lattice")
        n = grid[0] * grid[1]
        hidden = self.target if self.target is not None else int(n * (self.ratio or 0))
        if not 0 < hidden < n:
            raise ValueError(f"mask.target: {hidden} of {n} tokens; expected more than 0 and fewer than all")
        laid = n - hidden if self.inverse else hidden
        rng = Draws(ctx.host_rng())
        masked = lay_rectangles(rng, rows.shape[0], (grid[0], grid[1]), laid, min(self.least, laid), self.most, self.aspect)
        masked = masked.reshape(-1, n)
        if self.exact:
            masked = make_exact(rng, masked, laid)
        if self.inverse:
            masked = ~masked
        counts = masked.sum(1)
        device_mask = torch.from_numpy(masked).to(rows.device, non_blocking=True)
        if rows.maskable() is not None:
            return from_masked_rows(device_mask, rows, self.per_sample)
        return from_masked(device_mask, int(counts.max()), int(counts.min()), self.per_sample)


class Draws:
    """Where the random numbers of rectangles come from, for all rows at once."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def uniform(self, low: float | np.ndarray, high: float | np.ndarray, rows: int) -> np.ndarray:
        """A number per row in [low, high]."""
        return low + self.rng.random(rows) * (high - low)

    def below(self, count: np.ndarray, needed: np.ndarray) -> np.ndarray:
        """A whole number below ``count`` per row; ``needed``: the rows where it will be looked at."""
        return (self.rng.random(len(count)) * count).astype(int)

    def noise(self, masked: np.ndarray, target: int) -> np.ndarray:
        """Numbers in [0, 1) for bool ``[rows, N]``; of the tokens that are (not) hidden, the largest are freed last (hidden)."""
        return self.rng.random(masked.shape)


def lay_rectangles(
    draws: Draws, rows: int, grid: tuple[int, int], target: int, least: int, most: int | None, aspect: float
) -> np.ndarray:
    """bool ``[rows, H, W]``: rectangles laid in all rows side by side; a row ends after 10 failed draws or at its target."""
    h, w = grid
    masked = np.zeros((rows, h, w), dtype=bool)
    failures = np.zeros(rows, dtype=int)
    y, x = np.arange(h)[None, :, None], np.arange(w)[None, None, :]
    log_aspect = math.log(aspect)
    while True:
        left = target - masked.sum((1, 2))
        active = (left > 0) & (failures < 10)
        if not active.any():
            return masked
        room = left if most is None else np.minimum(left, most)
        area = draws.uniform(least, room, rows)
        ratio = np.exp(draws.uniform(log_aspect, -log_aspect, rows))
        bh = np.round(np.sqrt(np.maximum(area, 1) * ratio)).astype(int)
        bw = np.round(np.sqrt(np.maximum(area, 1) / ratio)).astype(int)
        inside = active & (bh < h) & (bw < w)
        fits = inside & (bh > 0) & (bw > 0)
        top, side = draws.below(h - bh + 1, inside), draws.below(w - bw + 1, inside)
        box = (y >= top[:, None, None]) & (y < (top + bh)[:, None, None])
        box = box & (x >= side[:, None, None]) & (x < (side + bw)[:, None, None])
        new = (box & ~masked).sum((1, 2))
        good = fits & (new > 0) & (new <= room)
        masked |= box & good[:, None, None]
        failures = np.where(good, 0, failures + active)


def make_exact(draws: Draws, masked: np.ndarray, target: int) -> np.ndarray:
    """Hide or free tokens at random until every row of bool ``[rows, N]`` has ``target`` hidden ones."""
    rank = masked + draws.noise(masked, target) * 0.5
    order = np.argsort(-rank, axis=1)
    exact = np.zeros_like(masked)
    np.put_along_axis(exact, order[:, :target], True, axis=1)
    return exact
