"""Apply a MaskSet: make from all tokens what the encoder may see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from maskedmod.core.mask_set import MASKED, RANDOM, MaskSet, Visibility
from maskedmod.core.tokens import Layout, Tokens, take

Sees = Literal["visible", "mask_token", "corrupt", "full"]


@dataclass(frozen=True)
class Seen:
    """Input of an encoder.

    ``tokens``: n tokens; ``index`` int64 ``[M, n]``: their input positions (None = all in order); ``hidden`` bool
    ``[M, n]``: places where the encoder puts its mask token; ``visibility``: who attends to whom (None = everybody);
    ``mask``: for encoders that need more of it (sparse convolution reads roles). ``whole``: the tokens that ``tokens`` were
    picked from, for embeddings that look at all of them (None: they are all there).
    """

    tokens: Tokens
    index: Tensor | None = None
    hidden: Tensor | None = None
    visibility: Visibility | None = None
    mask: MaskSet | None = None
    whole: Tokens | None = None


def apply(rows: Tokens, mask: MaskSet, sees: Sees) -> Seen:
    """``visible``: gather kept tokens. ``mask_token``: all tokens, hidden ones marked. ``corrupt``: as the mask's codes say
    (1 marked, 2 replaced by a random token, 3 left). ``full``: all, unchanged. Dropped tokens are padding."""
    rows = mask.rewrite(rows)
    if sees == "visible":
        return _visible(rows, mask)
    tokens = rows
    if mask.drops and not rows.layout.packed:
        tokens = replace(rows, layout=replace(rows.layout, valid=mask.present(rows.layout.valid)))
    hidden = None
    if sees == "mask_token":
        hidden = mask.hidden
    elif sees == "corrupt":
        if mask.code is None:
            raise ValueError("sees=corrupt needs a mask with corruption codes; give the mask its corrupt= shares")
        hidden = mask.code == MASKED
        tokens = mask.randomised(tokens, mask.code == RANDOM)
    return Seen(tokens, None, hidden, mask.visibility, mask)


def _visible(rows: Tokens, mask: MaskSet) -> Seen:
    keep = mask.keep
    if rows.layout.packed:
        return _visible_packed(rows, mask)
    layout = Layout(grid=rows.layout.grid, valid=mask.keep_valid)
    tokens = Tokens(take(rows.values, keep), take(rows.pos, keep), layout)
    return Seen(tokens, keep, None, mask.visibility, mask, rows)


def _visible_packed(rows: Tokens, mask: MaskSet) -> Seen:
    keep, cu = mask.keep, rows.layout.cu_seqlens
    assert cu is not None
    counts = torch.zeros(rows.shape[0] + 1, dtype=cu.dtype, device=cu.device)
    counts[keep + 1] = 1
    kept_cu = counts.cumsum(0, dtype=cu.dtype)[cu.long()]
    layout = Layout(cu_seqlens=kept_cu, max_seqlen=rows.layout.max_seqlen)
    tokens = Tokens(rows.values[keep], rows.pos[keep], layout, relation=rows.relation)
    return Seen(tokens, keep, None, mask.visibility, mask, rows)
