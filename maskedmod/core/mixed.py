"""Tokens of one view put together from the samples of another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maskedmod.core.tokens import Tokens


@dataclass(frozen=True)
class Mixed(Tokens):
    """Dense tokens that come from the samples of the view ``of``, every one from the same place. ``sample`` int64 ``[B, N]``:
    whose token it is; ``share`` float32 ``[B]`` below 1: how much of a row counts as its own sample, the rest is of row
    ``-1 - b``."""

    sample: Tensor | None = None
    share: Tensor | None = None
    of: str = "main"

    def repeat(self, k: int) -> Tokens:
        """The same for one mask per sample. ValueError for more."""
        if k > 1:
            raise ValueError("mixed samples take one mask each: mask.masks_per_sample=1")
        return self

    def mix(self, values: Tensor) -> Tensor:
        """What the view ``of`` has for every token ``[B, N, ...]`` -> the same for these tokens."""
        assert self.sample is not None
        index = self.sample.reshape(*self.sample.shape, *[1] * (values.ndim - 2)).expand_as(values)
        return values.gather(0, index)


def cut_mixed(tokens: Tokens, share: Tensor, noise: Tensor) -> Mixed:
    """Every token from its own sample with probability ``share`` ``[B]`` (``noise`` ``[B, N]`` below it), else from the sample at
    the mirrored place of the batch (Point-BERT, Yu et al. 2022, section 3.3, after CutMix)."""
    own = torch.arange(len(share), device=share.device)[:, None].expand_as(noise)
    mixed = Mixed(tokens.values, tokens.pos, sample=torch.where(noise < share[:, None], own, own.flip(0)), share=share)
    return Mixed(mixed.mix(tokens.values), mixed.mix(tokens.pos), sample=mixed.sample, share=share)
