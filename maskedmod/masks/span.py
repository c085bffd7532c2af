"""Runs of neighbouring tokens in a sequence."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import Count, from_masked_rows, masked_counts, packed_from_masked, smallest
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.layers.corruption import Corruption


class Span(Mask):
    """Hide whole spans (SpanBERT: Joshi et al. 2020, section 3.1; wav2vec 2.0: Baevski et al. 2020, section 4.2).

    ``ratio``: share of the eligible tokens. ``length``: mean span; ``lengths``: ``fixed``, ``geometric`` without those above
    ``most`` (SpanBERT: 5 and 10, which makes the mean 3.8), or ``poisson`` cut to 1 and ``most``.
    ``stop``: ``exact`` lays spans at random until the number is reached and shortens the last one (count by ``count``, at
    least ``least``); ``starts`` draws ``round(ratio n / length)`` different starts, where overlaps hide less (wav2vec 2.0).
    ``corrupt``: as in random; ``together``: all tokens of a span share its fate (SpanBERT).
    Packed or dense. Spans end at the end of their sequence; tokens that are not eligible stay seen.
    """

    def __init__(
        self,
        spec: Spec,
        ratio: float = 0.15,
        length: float = 5.0,
        lengths: Literal["fixed", "geometric", "poisson"] = "geometric",
        most: int = 10,
        stop: Literal["exact", "starts"] = "exact",
        count: Count = "mask_round",
        least: int = 0,
        corrupt: Corruption | None = None,
        together: bool = True,
        masks_per_sample: int = 1,
    ) -> None:
        super().__init__()
        if not 0.0 < ratio < 1.0:
            raise ValueError(f"mask.ratio must lie between 0 and 1, not {ratio}")
        if not 1.0 <= length <= most:
            raise ValueError(f"mask.length must lie between 1 and mask.most={most}, not {length}")
        if lengths == "fixed" and length != int(length):
            raise ValueError(f"mask.length must be a whole number with lengths=fixed, not {length}")
        if least < 0:
            raise ValueError(f"mask.least must be 0 or more, not {least}")
        if corrupt is not None:
            corrupt.check(spec)
        self.ratio, self.length, self.lengths, self.most, self.stop = ratio, length, lengths, most, stop
        self.count, self.least, self.corrupt, self.together = count, least, corrupt, together
        self.vocab, self.per_sample = spec.vocab, masks_per_sample

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        """Dense or packed rows -> MaskSet with one target set."""
        segment, place, eligible = _flat(rows)
        sizes = torch.zeros(rows.batch, dtype=torch.long, device=rows.device)
        counts = sizes.index_add(0, segment, eligible.long())
        start_noise = torch.rand(len(segment), generator=ctx.generator, device=rows.device)
        spans = self._spans(len(segment), rows, ctx)
        if self.stop == "starts":
            number = (self.ratio * counts / self.length).round().long().clamp(min=min(self.least, 1)).minimum(counts)
            chosen = smallest(start_noise, number, eligible, segment)
            start_noise = torch.where(chosen, start_noise, 2.0)
        covered, owner = _first_cover(start_noise, spans, place, self.most)
        if self.stop == "starts":
            masked = (covered < 2.0) & eligible
        else:
            asked = masked_counts(counts, self.ratio, self.count).clamp(min=self.least).minimum(counts)
            masked = smallest(covered, asked, eligible, segment)
        packed = rows.layout.packed
        mask = packed_from_masked(masked, self.per_sample) if packed else self._dense(masked, rows)
        if self.corrupt is None:
            return mask
        fate = torch.rand(len(segment), generator=ctx.generator, device=rows.device)
        fate = fate[owner] if self.together else fate
        return self.corrupt.apply(mask, rows, self.vocab, fate.reshape(rows.shape), ctx.generator)

    def _dense(self, masked: Tensor, rows: Tokens) -> MaskSet:
        return from_masked_rows(masked.reshape(rows.shape), rows, self.per_sample)

    def _spans(self, n: int, rows: Tokens, ctx: Context) -> Tensor:
        """Length of the span that would begin at each token, int64 ``[n]``."""
        if self.lengths == "fixed":
            return torch.full((n,), int(self.length), device=rows.device)
        if self.lengths == "poisson":
            drawn = torch.poisson(torch.full((n,), self.length, device=rows.device), generator=ctx.generator)
        elif self.length == 1.0:
            return torch.ones(n, dtype=torch.long, device=rows.device)
        else:  # inverse of the distribution function up to `most`, with success probability 1 / mean
            stay = 1.0 - 1.0 / self.length
            noise = torch.rand(n, generator=ctx.generator, device=rows.device)
            drawn = ((1.0 - noise * (1.0 - stay**self.most)).log() / math.log(stay)).ceil()
        return drawn.long().clamp(1, self.most)


def _flat(rows: Tokens) -> tuple[Tensor, Tensor, Tensor]:
    """Sequence of every token, its place in it, and whether it may be hidden; all ``[L]``, dense rows one after another."""
    if rows.layout.packed:
        segment, cu = rows.layout.segments(), rows.layout.cu_seqlens
        assert cu is not None
        place = torch.arange(len(segment), device=rows.device) - cu.long()[segment]
        eligible = rows.eligible
    else:
        b, n = rows.shape
        segment = torch.arange(b, device=rows.device).repeat_interleave(n)
        place = torch.arange(n, device=rows.device).repeat(b)
        eligible = rows.maskable()
    free = torch.ones(len(segment), dtype=torch.bool, device=rows.device)
    return segment, place, free if eligible is None else eligible.reshape(-1)


def _first_cover(noise: Tensor, spans: Tensor, place: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """If spans were laid in the order of their starts' noise: the noise of the span that covers each token first, and its
    start, ``[L]`` each. ``most`` shifts of the whole batch, no loop over sequences."""
    starts = torch.arange(len(noise), device=noise.device)
    covered, owner = noise.clone(), starts.clone()
    for back in range(1, min(most, len(noise))):
        reaches = (spans[:-back] > back) & (place[back:] >= back) & (noise[:-back] < covered[back:])
        covered[back:] = torch.where(reaches, noise[:-back], covered[back:])
        owner[back:] = torch.where(reaches, starts[: len(noise) - back], owner[back:])
    return covered, owner
