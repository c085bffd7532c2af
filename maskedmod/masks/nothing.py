"""Nothing is hidden: tokenizers and autoencoders."""

from __future__ import annotations

import torch

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import DROPPED, VISIBLE, MaskSet
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens


class Nothing(Mask):
    """All tokens are visible and none is a target: for objectives with ``region: all``, ``visible`` or ``pooled``."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        """Padding of dense rows is dropped."""
        role = torch.full(rows.shape, VISIBLE, dtype=torch.int8, device=rows.device)
        every = torch.arange(rows.shape[-1], device=rows.device)
        if rows.layout.packed:
            return MaskSet(role, every, every[:0])
        every, valid = every.expand(rows.shape), rows.layout.valid
        if valid is None:
            return MaskSet(role, every, every[:, None, :0])
        return MaskSet(role.masked_fill(~valid, DROPPED), every, every[:, None, :0], valid, drops=True)
