"""Predictions through the class token: what a picture is must be gathered there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.core.tokens import take
from maskedmod.layers.attention import QkvBias, Who
from maskedmod.layers.block import Block, BlockSettings
from maskedmod.layers.init import Init, initialise
from maskedmod.layers.positions import RelativeBias

LAST = "prefix.-1"
"""The class token after the last block, before any norm."""


class ClassAggregation(Head):
    """A few blocks over the last class token and the patches as they were after an earlier ``block``, then one map (BEiT v2, Peng
    et al. 2022, section 2.4). ``block``: its number from 0 (the paper's 9th is 8). ``depth`` blocks of the encoder's width with
    ``heads`` (null: as many as the encoder); ``mlp_ratio``, ``qkv_bias``, ``layer_scale`` and ``drop_path`` as in the encoder.
    ``relative``: biases of their attention, shared (the table that all blocks of the encoder share) or block (a table each).
    ``share``: name of the objective whose head's last map is used, with the encoder's last norm, in the place of ones of its own
    (the released code: main).
    Needs an encoder with a class token that sees mask tokens.
    """

    reads_hidden = True

    def __init__(
        self,
        spec: Spec,
        block: int = 8,
        depth: int = 2,
        heads: int | None = 12,
        mlp_ratio: float = 4.0,
        qkv_bias: QkvBias = "all",
        relative: Literal["none", "shared", "block"] = "none",
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        eps: float = 1e-6,
        init: Init = "trunc_normal",
        share: str | None = None,
    ) -> None:
        super().__init__()
        self.taps = (f"block.{block}", LAST, *(("bias",) if relative == "shared" else ()))
        if heads is None and relative == "block":
            raise ValueError("class_aggregation.heads: a number, where every block has a table of its own")
        self.heads = heads
        settings = BlockSettings(spec.width, heads or 1, mlp_ratio, qkv_bias, eps=eps, layer_scale=layer_scale)
        self.blocks = nn.ModuleList(Block(settings, drop_path) for _ in range(depth))
        self.relative = nn.ModuleList(RelativeBias(spec, heads or 1) for _ in range(depth if relative == "block" else 0))
        self.share = share
        self.norm = None if share else nn.LayerNorm(spec.width, eps=eps)
        self.pred = None if share else nn.Linear(spec.width, spec.target)
        self._shared: list[nn.Module] = []  # a list: the modules stay where they are, here they are only called
        initialise(self, init, 0.02)

    def bind(self, encoder: Encoder) -> None:
        """Take the encoder's number of heads and its last norm where they are shared."""
        heads = getattr(encoder, "heads", self.heads)
        if self.heads is None:
            for block in self.blocks:
                assert isinstance(block, Block)
                block.attn.heads = int(heads or 1)
        elif "bias" in self.taps and self.heads != heads:
            raise ValueError(f"class_aggregation.heads={self.heads}: shared biases are for the encoder's {heads}; set it to null")
        if self.share:
            self._shared = [encoder.get_submodule("norm")]

    def join(self, heads: Mapping[str, Head]) -> None:
        """Take the last map of another head when it is shared. ValueError where there is none."""
        if self.share is None:
            return
        pred = getattr(heads.get(self.share), "pred", None)
        if not isinstance(pred, nn.Linear):
            raise ValueError(f"head=class_aggregation: share={self.share} is no objective whose head ends in one linear map")
        self._shared.append(pred)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[M, J, T, target]``."""
        latent = view.student
        if where.index is None or latent.prefix is None or not latent.has_class:
            raise ValueError("head=class_aggregation predicts tokens by an encoder with a class token (encoder.classes=1)")
        valid = latent.layout.valid
        keys = None if valid is None else nn.functional.pad(valid, (1, 0), value=True)[:, None, None, :]
        x = torch.cat([latent.taps[LAST][:, :1], latent.taps[self.taps[0]]], dim=1)
        for i, block in enumerate(self.blocks):
            bias = self.relative[i](view.rows.pos, 1) if len(self.relative) else latent.taps.get("bias")
            x = block(x, Who(allowed=keys, bias=bias))
        norm, pred = self._shared if self.share else (self.norm, self.pred)
        assert norm is not None and pred is not None
        return pred(take(norm(x)[:, 1:], where.index))  # type: ignore[no-any-return]

    def units(self) -> list[nn.Module]:
        return list(self.blocks)
