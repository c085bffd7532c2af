"""Sequences of ids without padding: from samples to a packed batch, from a batch to Tokens, and random cuts of long sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskedmod.core.alphabet import Alphabet
from maskedmod.core.tokens import Layout, Tokens


def pack(samples: Sequence[np.ndarray[Any, Any] | Tensor], vocab: int) -> dict[str, Any]:
    """Ids of S sequences one after another: ``ids`` ``[L]`` (uint8 or int16, as ``vocab`` allows), ``cu_seqlens`` int32 ``[S+1]``
    and ``max_seqlen``, a plain number so that nobody waits for the device to learn it."""
    kind = torch.uint8 if vocab <= 256 else torch.int16 if vocab <= 1 << 15 else torch.int32
    lengths = torch.tensor([len(sample) for sample in samples], dtype=torch.int32)
    cu = torch.zeros(len(samples) + 1, dtype=torch.int32)
    torch.cumsum(lengths, 0, out=cu[1:])
    ids = torch.cat([torch.as_tensor(sample).to(kind) for sample in samples])
    return {"ids": ids, "cu_seqlens": cu, "max_seqlen": int(lengths.max())}


def unpack(batch: dict[str, Any], alphabet: Alphabet) -> Tokens:
    """Tokens of what ``pack`` made: ids int64 ``[L]``, positions ``[L, 1]`` that begin at 0 in every sequence, special tokens not
    eligible."""
    ids, cu = batch["ids"].long(), batch["cu_seqlens"]
    layout = Layout(cu_seqlens=cu, max_seqlen=batch["max_seqlen"])
    return Tokens(ids, positions(layout, len(ids)), layout, eligible_of(ids, alphabet))


def positions(layout: Layout, total: int) -> Tensor:
    """Place of every packed token in its own sequence, int64 ``[L, 1]``, counted from 0."""
    assert layout.cu_seqlens is not None
    starts = layout.cu_seqlens[:-1].long()
    own = torch.repeat_interleave(starts, layout.cu_seqlens.diff().long(), output_size=total)
    return (torch.arange(total, device=own.device) - own)[:, None]


def eligible_of(ids: Tensor, alphabet: Alphabet) -> Tensor:
    """bool like ``ids``: False at special tokens."""
    allowed = [i not in alphabet.special for i in range(len(alphabet))]
    return torch.tensor(allowed, device=ids.device)[ids]


def cut(length: int, most: int | None, seed: int | None) -> slice:
    """The part of a sequence that training sees: all of it, or ``most`` places from a start that ``seed`` alone decides, every
    start alike. Without a seed nothing is cut."""
    if most is None or seed is None or length <= most:
        return slice(0, length)
    start = int(np.random.default_rng(seed).integers(length - most + 1))
    return slice(start, start + most)
