"""Cut spectrograms into patches, and lay patches back; with a stride smaller than the patch they overlap."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from maskedmod.core.tokens import Tokens


def pair(name: str, size: int | tuple[int, int] | list[int]) -> tuple[int, int]:
    """``16`` or ``(time, frequency)``; ValueError for anything else or below 1."""
    both = (size, size) if isinstance(size, int) else tuple(size)
    if len(both) != 2 or any(not isinstance(x, int) or x < 1 for x in both):
        raise ValueError(f"{name} is {size!r}; expected a positive number or (time, frequency)")
    return both


@dataclass(frozen=True)
class Clips(Tokens):
    """Tokens of clips whose number of real ``frames`` int64 ``[B]`` is known (None: all fill the window), for pictures and
    sound: the last valid patch of a clip may end in padding."""

    frames: Tensor | None = None


@dataclass(frozen=True)
class Lattice:
    """Patches of ``patch`` (time, frequency) every ``stride`` on a spectrogram of ``frames`` x ``bins``.

    Tokens are time-major: token ``t * F' + f``; values inside one likewise. Raises ValueError where patches would leave gaps,
    and, without overlap, where they do not fill the spectrogram. With overlap a rest at the end may stay uncovered.
    """

    frames: int
    bins: int
    patch: tuple[int, int]
    stride: tuple[int, int]

    def __post_init__(self) -> None:
        sizes = (self.frames, self.bins)
        for axis, size, patch, stride in zip(("frames", "mel_bins"), sizes, self.patch, self.stride, strict=True):
            if patch > size:
                raise ValueError(f"a patch of {patch} does not fit {axis}={size}")
            if stride > patch:
                raise ValueError(f"stride {stride} is larger than the patch ({patch}): parts of {axis} would never be seen")
            if stride == patch and size % patch:
                raise ValueError(f"{axis}={size} is no multiple of the patch ({patch})")

    @property
    def grid(self) -> tuple[int, int]:
        """Patches in time and in frequency."""
        t, f = ((size - p) // s + 1 for size, p, s in zip((self.frames, self.bins), self.patch, self.stride, strict=True))
        return t, f

    @property
    def overlaps(self) -> bool:
        return self.stride != self.patch

    def cut(self, features: Tensor) -> Tensor:
        """``[B, T, F]`` -> ``[B, N, pt * pf]``."""
        b, (t, f), (pt, pf), (st, sf) = len(features), self.grid, self.patch, self.stride
        patches = features.unfold(1, pt, st).unfold(2, pf, sf)
        return patches.reshape(b, t * f, pt * pf)

    def lay(self, values: Tensor) -> Tensor:
        """``[B, N, pt * pf]`` -> ``[B, T, F]``; the mean where patches overlap, 0 where there is none."""
        if not self.overlaps:
            b, (t, f), (pt, pf) = len(values), self.grid, self.patch
            return values.reshape(b, t, f, pt, pf).transpose(2, 3).reshape(b, t * pt, f * pf)
        return self._fold(values) / self._fold(torch.ones_like(values[:1])).clamp(min=1)

    def covered(self, tokens: Tensor) -> Tensor:
        """bool ``[B, N]`` -> bool ``[B, T, F]``: places that at least one of these tokens covers."""
        size = self.patch[0] * self.patch[1]
        spread = tokens[..., None].float().expand(*tokens.shape, size)
        return (self._fold(spread) if self.overlaps else self.lay(spread)) > 0.5

    def _fold(self, values: Tensor) -> Tensor:
        size = (self.frames, self.bins)
        return F.fold(values.transpose(1, 2), size, kernel_size=self.patch, stride=self.stride)[:, 0]
