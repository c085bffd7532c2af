"""Tokens hidden independently at random."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import (
    Count,
    from_masked_rows,
    from_noise,
    ignore_some,
    masked_counts,
    packed_at_places,
    packed_from_masked,
    smallest,
)
from maskedmod.core.schedules import Ramp, value
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.layers.corruption import Corruption
from maskedmod.layers.positions import flat_index

AGAIN = 1000
"""Most times that a sequence is drawn again."""


@dataclass(frozen=True)
class RatioSampler:
    """A ratio drawn once per batch (the same on all ranks): ``uniform`` in [low, high], or ``normal`` with ``mean`` and
    ``std``, cut to [low, high] (MAGE, Li et al. 2023, section 3.1)."""

    low: float
    high: float
    kind: Literal["uniform", "normal"] = "uniform"
    mean: float = 0.55
    std: float = 0.25

    def draw(self, ctx: Context) -> float:
        rng = ctx.host_rng(shared=True)
        if self.kind == "uniform":
            return float(rng.uniform(self.low, self.high))
        for _ in range(1000):
            ratio = float(rng.normal(self.mean, self.std))
            if self.low <= ratio <= self.high:
                return ratio
        raise ValueError(f"mask.ratio: no draw of normal({self.mean}, {self.std}) falls in [{self.low}, {self.high}]")


class Random(Mask):
    """Hide a share of the eligible tokens, drawn uniformly (MAE: He et al. 2022, section 3).

    ``ratio``: a number, a schedule ``{start, end}``, or a sampler ``{low, high}`` per batch. ``count``: how the share becomes a
    number: keep_int, mask_int, mask_ceil, mask_round, mask_chance. ``unit``: side of the squares that are hidden as one, in
    tokens (SimMIM: 32 px = 2 patches); needs a lattice. ``scope``: ``batch`` hides the same positions in all rows, in
    packed sequences those of the longest. ``bernoulli``: every token on its own with probability ratio; else the exact number.
    ``ignore``: share of the hidden tokens that no loss asks for. ``least``: fewest tokens hidden in a packed sequence that has as
    many; with bernoulli, sequences with fewer are drawn again (SaProt). ``specials``: in packed sequences cls, eos and the
    like may be hidden as well (TAPE, fairseq). ``corrupt``: BERT-like shares for encoder.sees=corrupt. ``masks_per_sample``: K.
    Padding and ineligible tokens are never hidden, and the count is taken from each row's own eligible tokens.
    """

    def __init__(
        self,
        spec: Spec,
        ratio: float | Ramp | RatioSampler = 0.75,
        count: Count = "keep_int",
        unit: int = 1,
        scope: Literal["sample", "batch"] = "sample",
        bernoulli: bool = False,
        ignore: float = 0.0,
        least: int = 0,
        specials: bool = False,
        corrupt: Corruption | None = None,
        masks_per_sample: int = 1,
    ) -> None:
        super().__init__()
        if not isinstance(ratio, Ramp | RatioSampler) and not 0.0 < ratio < 1.0:
            raise ValueError(f"mask.ratio must lie between 0 and 1, not {ratio}")
        if isinstance(ratio, Ramp) and not (0.0 <= ratio.start <= 1.0 and 0.0 <= ratio.end <= 1.0):
            raise ValueError(f"mask.ratio must stay between 0 and 1, not go from {ratio.start} to {ratio.end}")
        self.ratio, self.count, self.unit, self.scope, self.bernoulli = ratio, count, unit, scope, bernoulli
        self.ignore, self.corrupt, self.per_sample = ignore, corrupt, masks_per_sample
        if least < 0:
            raise ValueError(f"mask.least={least}: expected 0 or more")
        self.least, self.vocab, self.specials = least, spec.vocab, specials
        if corrupt is not None:
            corrupt.check(spec)

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        """Dense or packed rows -> MaskSet with one target set."""
        ratio = self.ratio.draw(ctx) if isinstance(self.ratio, RatioSampler) else value(self.ratio, ctx)
        mask = self._packed(rows, ratio, ctx) if rows.layout.packed else self._dense(rows, ratio, ctx)
        if self.ignore and not rows.layout.packed:
            mask = ignore_some(mask, self._noise(rows.shape, rows, ctx) < self.ignore)
        if self.corrupt is not None:
            noise = torch.rand(rows.shape, generator=ctx.generator, device=rows.device)
            mask = self.corrupt.apply(mask, rows, self.vocab, noise, ctx.generator)
        return mask

    def _dense(self, rows: Tokens, ratio: float, ctx: Context) -> MaskSet:
        if self.unit > 1:
            return self._units(rows, ratio, ctx)
        noise = self._noise(rows.shape, rows, ctx)
        if self.bernoulli:
            return from_masked_rows(noise < ratio, rows, self.per_sample)
        return from_noise(noise, ratio, rows, self.count, self.per_sample)

    def _units(self, rows: Tokens, ratio: float, ctx: Context) -> MaskSet:
        grid = rows.layout.grid
        if grid is None:
            raise ValueError("mask.unit needs tokens on a lattice")
        if any(g % self.unit for g in grid):
            raise ValueError(f"mask.unit {self.unit} does not divide the lattice {grid}")
        coarse = tuple(g // self.unit for g in grid)
        cells = math.prod(coarse)
        unit = from_noise(self._noise((rows.shape[0], cells), rows, ctx), ratio, None, self.count)
        owner = flat_index(rows.pos // self.unit, coarse)
        return from_masked_rows(unit.hidden.gather(1, owner), rows, self.per_sample)

    def _packed(self, rows: Tokens, ratio: float, ctx: Context) -> MaskSet:
        if self.scope == "batch":
            return self._places(rows, ratio, ctx)
        noise = self._noise(rows.shape, rows, ctx)
        eligible = rows.eligible
        if eligible is None or self.specials:
            eligible = torch.ones_like(noise, dtype=torch.bool)
        segment = rows.layout.segments()
        counts = torch.zeros(rows.batch, dtype=torch.long, device=noise.device).index_add(0, segment, eligible.long())
        if self.bernoulli:
            return packed_from_masked(self._each(noise < ratio, ratio, rows, eligible, segment, counts, ctx), self.per_sample)
        chance = None
        if self.count == "mask_chance":
            chance = torch.rand(rows.batch, dtype=torch.double, generator=ctx.generator, device=rows.device)
        asked = masked_counts(counts, ratio, self.count, chance).clamp(min=self.least).minimum(counts)
        return packed_from_masked(smallest(noise, asked, eligible, segment), self.per_sample)

    def _each(
        self, drawn: Tensor, ratio: float, rows: Tokens, eligible: Tensor, segment: Tensor, counts: Tensor, ctx: Context
    ) -> Tensor:
        """Tokens hidden one by one, drawn again in sequences that have fewer than ``least``."""
        masked = drawn & eligible
        if not self.least:
            return masked
        for _ in range(AGAIN):
            found = torch.zeros_like(counts).index_add(0, segment, masked.long())
            short = found < counts.clamp(max=self.least)
            if not short.any():
                return masked
            masked = torch.where(short[segment], (self._noise(rows.shape, rows, ctx) < ratio) & eligible, masked)
        raise ValueError(f"mask.least={self.least}: no draw of ratio {ratio} hides as many in {AGAIN} trials")

    def _places(self, rows: Tokens, ratio: float, ctx: Context) -> MaskSet:
        """The same places in all packed sequences, as many as are asked for of the longest (GMAE's released code)."""
        assert rows.layout.cu_seqlens is not None
        if self.per_sample > 1 or self.bernoulli:
            raise ValueError("mask.scope=batch of packed tokens is for one mask per sample and an exact number of places")
        longest = rows.layout.cu_seqlens.diff().max()
        order = torch.rand(int(longest), generator=ctx.generator, device=rows.device).argsort()
        places = torch.zeros_like(order, dtype=torch.bool)
        asked = int(masked_counts(longest.long()[None], ratio, self.count)[0])
        return packed_at_places(rows, places.index_fill(0, order[:asked], True), rows.eligible)

    def _noise(self, shape: tuple[int, ...], rows: Tokens, ctx: Context) -> Tensor:
        if self.scope == "batch" and not rows.layout.packed:
            return torch.rand(1, *shape[1:], generator=ctx.generator, device=rows.device).expand(shape)
        return torch.rand(shape, generator=ctx.generator, device=rows.device)
