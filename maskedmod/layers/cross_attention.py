"""Queries that look at other tokens and not at one another."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.layers.block import BlockSettings, DropPath, Mlp, make_norm
from maskedmod.layers.linear import Linear


class CrossBlock(nn.Module):
    """Attention from queries to a memory, then an MLP, with residuals and norms before. Places are added to normed queries and to
    the memory's keys, not to its values (MaskPoint, Liu et al. 2022, section 3.2; DETR, Carion et al. 2020, section A.3)."""

    def __init__(self, s: BlockSettings, drop_path: float = 0.0) -> None:
        super().__init__()
        if s.width % s.heads:
            raise ValueError(f"width {s.width} is not divisible by heads {s.heads}")
        self.heads, bias = s.heads, s.qkv_bias == "all"
        self.q, self.k, self.v = (Linear(s.width, s.width, bias=bias) for _ in range(3))
        self.proj = Linear(s.width, s.width)
        self.norm1, self.norm2 = make_norm(s.norm, s.width, s.eps), make_norm(s.norm, s.width, s.eps)
        self.mlp, self.drop_path = Mlp(s), DropPath(drop_path)

    def forward(self, x: Tensor, place: Tensor, memory: Tensor, memory_place: Tensor, allowed: Tensor | None = None) -> Tensor:
        """x and ``place`` ``[M, Q, D]``, memory ``[M, n, D]``, ``allowed`` bool ``[M, 1, 1, n]`` -> ``[M, Q, D]``."""
        q, k, v = (
            layer(part).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, part in ((self.q, self.norm1(x) + place), (self.k, memory + memory_place), (self.v, memory))
        )
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        x = x + self.drop_path(self.proj(found.transpose(1, 2).flatten(2)))
        return x + self.drop_path(self.mlp(self.norm2(x)))
