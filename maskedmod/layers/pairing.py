"""Pairs of predicted tokens: each with the next one of its sequence, so that a target and a head mean the same ones."""

from __future__ import annotations

import torch
from torch import Tensor

from maskedmod.core.tokens import Layout


def partners(index: Tensor, layout: Layout) -> Tensor:
    """Place in the list ``index`` (int64 ``[T]`` of packed tokens, rising) of every entry's partner: the next entry of the same
    sequence, of the last one the first; an entry that is alone is its own partner. ValueError for dense tokens."""
    if not layout.packed or index.ndim != 1:
        raise ValueError("pairs of tokens are for packed sequences")
    owner = layout.segments()[index]
    place = torch.arange(len(index), device=index.device)
    last = torch.ones_like(owner, dtype=torch.bool)
    last[:-1] = owner[1:] != owner[:-1]
    return torch.where(last, torch.searchsorted(owner, owner), place + 1)
