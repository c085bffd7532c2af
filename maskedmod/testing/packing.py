"""The part of the contract suite that is about packed tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from maskedmod.core.modality import Modality
from maskedmod.core.tokens import Tokens


def broken_packing(t: Tokens, modality: Modality, data: Sequence[Any]) -> str:
    """What packed tokens of samples ``data`` break of their promises, or an empty text: sequences lie one after another and fill
    the batch; those of ids count their places from 0 and are no longer than ``token_lengths`` says."""
    cu = t.layout.cu_seqlens
    assert cu is not None
    if cu.dtype != torch.int32:
        return f"cu_seqlens must be int32, got {cu.dtype}"
    lengths = cu.diff().long().cpu()
    if int(cu[0]) != 0 or int(cu[-1]) != t.shape[0] or not bool((lengths > 0).all()):
        return f"cu_seqlens {cu.tolist()} do not cut {t.shape[0]} tokens into sequences"
    if t.layout.max_seqlen != int(lengths.max()):
        return f"max_seqlen is {t.layout.max_seqlen}, the longest sequence has {int(lengths.max())}"
    if modality.spec.vocab is None or modality.spec.axes != 1:
        return ""
    places = torch.cat([torch.arange(n) for n in lengths.tolist()])
    if not torch.equal(t.pos[:, 0].cpu().long(), places):
        return "positions of a sequence must count from 0"
    if not all(isinstance(one, str) for one in data):
        return ""
    told = modality.token_lengths(torch.tensor([len(one) for one in data]))
    if told is None:
        return "token_lengths() must tell the lengths of packed samples"
    return (
        "" if bool((told >= lengths).all()) else f"token_lengths() promises {told.tolist()}, there are {lengths.tolist()} tokens"
    )
