"""Predictions through the class token: what a picture is must be gathered there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.core.tokens import take
from maskedmod.layers.attention import Who
from maskedmod.layers.block import Block, BlockSettings
from maskedmod.layers.init import Init, initialise


class ClassAggregation(Head):
    """A few blocks over the last class token and the patches as they were after an earlier ``block``, then one map (BEiT v2, Peng
    et al. 2022, section 2.4). ``block``: its number from 0 (the paper's 9th is 8). ``depth`` blocks of the encoder's width with
    ``heads``; ``layer_scale`` and ``drop_path`` as in the encoder. Needs an encoder with a class token that sees mask tokens."""

    reads_hidden = True

    def __init__(
        self,
        spec: Spec,
        block: int = 8,
        depth: int = 2,
        heads: int = 12,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        eps: float = 1e-6,
        init: Init = "trunc_normal",
    ) -> None:
        super().__init__()
        self.taps = (f"block.{block}",)
        settings = BlockSettings(spec.width, heads, eps=eps, layer_scale=layer_scale)
        self.blocks = nn.ModuleList(Block(settings, drop_path) for _ in range(depth))
        self.norm = nn.LayerNorm(spec.width, eps=eps)
        self.pred = nn.Linear(spec.width, spec.target)
        initialise(self, init, 0.02)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[M, J, T, target]``."""
        latent = view.student
        if where.index is None or latent.prefix is None or not latent.has_class:
            raise ValueError("head=class_aggregation predicts tokens by an encoder with a class token (encoder.classes=1)")
        valid = latent.layout.valid
        keys = None if valid is None else nn.functional.pad(valid, (1, 0), value=True)[:, None, None, :]
        x = torch.cat([latent.prefix[:, :1], latent.taps[self.taps[0]]], dim=1)
        for block in self.blocks:
            x = block(x, Who(allowed=keys))
        return self.pred(take(self.norm(x)[:, 1:], where.index))  # type: ignore[no-any-return]

    def units(self) -> list[nn.Module]:
        return list(self.blocks)
