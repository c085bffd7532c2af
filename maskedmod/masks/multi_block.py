"""Several target rectangles and one context rectangle (I-JEPA)."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import from_lists
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens


class MultiBlock(Mask):
    """``targets`` rectangles to predict and a large context rectangle without them (Assran et al. 2023, section 3, fig. 4).

    ``target_scale``, ``target_aspect``, ``context_scale``: ranges of relative area and of height / width; sizes are drawn once
    per batch, places per sample. ``tied``: scale and aspect come from one random number, as in the released code.
    ``least``: tokens that a block must have (released: 10). ``overlap``: targets may stay in the context.
    ``truncate``: lists are cut to the shortest of the batch, ``first`` keeps the first in raster order (released code),
    ``random`` any of them.
    """

    def __init__(
        self,
        spec: Spec,
        targets: int = 4,
        target_scale: tuple[float, float] = (0.15, 0.2),
        target_aspect: tuple[float, float] = (0.75, 1.5),
        context_scale: tuple[float, float] = (0.85, 1.0),
        least: int = 10,
        overlap: bool = False,
        tied: bool = True,
        truncate: Literal["first", "random"] = "first",
    ) -> None:
        super().__init__()
        if spec.axes != 2:
            raise ValueError(f"mask=multi_block needs two axes, this modality has {spec.axes}")
        self.targets, self.target_scale, self.target_aspect = targets, target_scale, target_aspect
        self.context_scale, self.least, self.overlap = context_scale, least, overlap
        self.tied, self.truncate = tied, truncate

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        """Dense rows on a two-axis lattice -> MaskSet with J = ``targets`` target sets."""
        grid = rows.layout.grid
        if grid is None or len(grid) != 2 or rows.layout.valid is not None:
            raise ValueError("mask=multi_block needs tokens that fill a two-axis lattice without padding")
        rng = ctx.host_rng()
        keep, targets = self.draw(rng, rows.shape[0], (grid[0], grid[1]))
        return from_lists(grid[0] * grid[1], torch.from_numpy(keep).to(rows.device), torch.from_numpy(targets).to(rows.device))

    def draw(self, rng: np.random.Generator, rows: int, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """-> context ``[rows, n]`` and targets ``[rows, J, T]``, int64 positions."""
        target = self._size(rng, grid, self.target_scale, self.target_aspect)
        context = self._size(rng, grid, self.context_scale, (1.0, 1.0))
        least = min(self.least, target[0] * target[1] - 1)
        boxes = _boxes(rng, rows * self.targets, grid, target).reshape(rows, self.targets, -1)
        hidden = np.asarray(boxes.any(1))
        kept = _boxes(rng, rows, grid, context)
        if not self.overlap:
            kept = self._clear(rng, kept, hidden, grid, context, least)
        return self._lists(rng, kept), self._lists(rng, boxes.reshape(rows * self.targets, -1)).reshape(rows, self.targets, -1)

    def _clear(
        self,
        rng: np.random.Generator,
        kept: np.ndarray,
        hidden: np.ndarray,
        grid: tuple[int, int],
        size: tuple[int, int],
        least: int,
    ) -> np.ndarray:
        """Take targets out of the context; rows left with too little draw again, and in the end take what is free."""
        free = kept & ~hidden
        for _ in range(20):
            short = free.sum(1) <= least
            if not short.any():
                return free
            free[short] = (_boxes(rng, len(free), grid, size) & ~hidden)[short]
        short = free.sum(1) <= least
        free[short] = ~hidden[short]
        if (free.sum(1) == 0).any():
            raise ValueError(f"mask=multi_block: targets cover the whole lattice {grid}; lower target_scale or targets")
        return free

    def _size(
        self, rng: np.random.Generator, grid: tuple[int, int], scale: tuple[float, float], aspect: tuple[float, float]
    ) -> tuple[int, int]:
        u = rng.random()
        v = u if self.tied else rng.random()
        area = int(grid[0] * grid[1] * (scale[0] + u * (scale[1] - scale[0])))
        ratio = aspect[0] + v * (aspect[1] - aspect[0])
        height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        return max(1, min(height, grid[0] - 1)), max(1, min(width, grid[1] - 1))

    def _lists(self, rng: np.random.Generator, chosen: np.ndarray) -> np.ndarray:
        """bool ``[rows, N]`` -> int64 ``[rows, shortest]``, in raster order."""
        shortest = int(chosen.sum(1).min())
        rank = np.where(chosen, rng.random(chosen.shape) if self.truncate == "random" else 0.0, 2.0)
        order = np.argsort(rank, axis=1, kind="stable")[:, :shortest]
        return np.sort(order, axis=1).astype(np.int64)


def _boxes(rng: np.random.Generator, rows: int, grid: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """bool ``[rows, N]``: one rectangle of this size per row at a random place."""
    top = rng.integers(0, grid[0] - size[0] + 1, rows)[:, None, None]
    left = rng.integers(0, grid[1] - size[1] + 1, rows)[:, None, None]
    y, x = np.arange(grid[0])[None, :, None], np.arange(grid[1])[None, None, :]
    box = (y >= top) & (y < top + size[0]) & (x >= left) & (x < left + size[1])
    return box.reshape(rows, -1)
