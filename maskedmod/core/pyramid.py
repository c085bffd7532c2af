"""Tokens of several scales, each level grouping the one below it, and the mask that agrees on all of them.

Letters in shapes: those of ``tokens``; ``G`` tokens of a level, ``S`` members of a token, ``G'`` tokens of the level below.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from maskedmod.core.mask_set import MaskSet
from maskedmod.core.tokens import Tokens


@dataclass(frozen=True)
class Level:
    """One scale. ``values`` ``[B, G, ...]``: content of its tokens, as in Tokens; ``pos`` ``[B, G, A]``; ``members`` int64
    ``[B, G, S]``: the tokens of the level below that each token is made of (of the finest level: samples of the signal)."""

    values: Tensor
    pos: Tensor
    members: Tensor

    def repeat(self, k: int) -> Level:
        """Every sample ``k`` times, sample-major."""
        return Level(*(x.repeat_interleave(k, dim=0) for x in (self.values, self.pos, self.members)))


@dataclass(frozen=True)
class Pyramid(Tokens):
    """Tokens of one level, ``at``, with all ``levels``, finest first. Targets, losses and pictures see the one level; masks,
    encoders and decoders that know pyramids see all of them."""

    levels: tuple[Level, ...] = field(default=())
    at: int = 0

    @classmethod
    def of(cls, levels: tuple[Level, ...], at: int) -> Pyramid:
        """The pyramid that is predicted at level ``at``. ValueError when there is no such level."""
        if not 0 <= at < len(levels):
            raise ValueError(f"a pyramid of {len(levels)} levels has no level {at}")
        return cls(levels[at].values, levels[at].pos, levels=levels, at=at)

    def repeat(self, k: int) -> Pyramid:
        """Every sample ``k`` times, on all levels."""
        return self if k == 1 else Pyramid.of(tuple(level.repeat(k) for level in self.levels), self.at)


@dataclass
class PyramidMask(MaskSet):
    """The mask of the level that is predicted; ``scales``: that of every level, finest first."""

    scales: tuple[MaskSet, ...] = ()

    def at(self, level: int) -> MaskSet:
        """The same mask at a level of the pyramid."""
        if not 0 <= level < len(self.scales):
            raise ValueError(f"this mask has levels 0 to {len(self.scales) - 1}, level {level} was asked")
        return self.scales[level]


def seen_below(seen: Tensor, members: Tensor, count: int) -> Tensor:
    """bool ``[M, G]`` of a level -> bool ``[M, G']``, ``count`` = G': a token is seen when a token that is made of it is."""
    hits = torch.zeros(seen.shape[0], count, dtype=torch.int32, device=seen.device)
    each = seen[..., None].expand_as(members).flatten(1).int()
    return hits.scatter_add_(1, members.flatten(1), each) > 0


def put_back(x: Tensor, mask: MaskSet, onto: Tensor) -> Tensor:
    """Values of the visible tokens ``[M, n, D]`` at their places among ``onto`` ``[M, G, D]``; what pads the list is left out."""
    places, extra = mask.keep, onto.shape[1]
    if mask.keep_valid is not None:
        places = torch.where(mask.keep_valid, places, extra)
    full = F.pad(onto, (0, 0, 0, 1))
    return full.scatter(1, places[..., None].expand_as(x), x.to(full.dtype))[:, :extra]
