"""Multi-head self-attention over dense or packed tokens, always through fused kernels unless a map is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.core.tokens import Layout
from maskedmod.layers.linear import Linear, linear
from maskedmod.layers.linear_attention import LinearKernel

QkvBias = Literal["all", "none", "qv"]


@dataclass(frozen=True)
class Who:
    """Who attends to whom in one forward pass, shared by all blocks.

    ``allowed`` bool, broadcastable to ``[M, heads, n, n]`` (key padding is ``[M, 1, 1, n]``); ``bias`` float, the same shapes;
    ``causal``: kernel flag; ``rotary``: (cos, sin) ``[M or 1, 1, n, head_dim]`` (packed ``[n, 1, head_dim]``), ``interleaved``:
    it turns neighbouring pairs; ``keys`` bool ``[M, n]``: the tokens that are no padding, for attention without a matrix;
    ``cu_seqlens`` int32 ``[S+1]``, ``max_seqlen`` and ``lengths`` (the same on the host) for packed tokens. ``added``: vectors
    that every block adds to its input, of the shape of the tokens (positions of Point-MAE).
    """

    allowed: Tensor | None = None
    bias: Tensor | None = None
    causal: bool = False
    rotary: tuple[Tensor, Tensor] | None = None
    interleaved: bool = False
    keys: Tensor | None = None
    cu_seqlens: Tensor | None = None
    max_seqlen: int = 0
    lengths: tuple[int, ...] = ()
    added: Tensor | None = None

    @classmethod
    def packed(
        cls, layout: Layout, causal: bool = False, rotary: tuple[Tensor, Tensor] | None = None, interleaved: bool = False
    ) -> Who:
        """Everybody within a sequence. Lengths are read here where that is free, on a GPU only by the path that needs them."""
        cu = layout.cu_seqlens
        assert cu is not None
        lengths = () if cu.is_cuda else tuple(cu.diff().tolist())
        return cls(
            causal=causal,
            rotary=rotary,
            interleaved=interleaved,
            cu_seqlens=cu,
            max_seqlen=layout.max_seqlen,
            lengths=lengths,
        )

    def alone(self, start: int, end: int) -> Who:
        """For the packed tokens ``start`` to ``end``, one whole sequence, as a dense batch of one."""
        rotary = self.rotary
        if rotary is not None:
            rotary = (rotary[0][start:end].transpose(0, 1)[None], rotary[1][start:end].transpose(0, 1)[None])
        return Who(causal=self.causal, rotary=rotary, interleaved=self.interleaved)


class Attention(nn.Module):
    """``softmax(q k^T / sqrt(d)) v`` (Vaswani et al. 2017, eq. 1).

    ``qkv_bias``: ``all``, ``none``, or ``qv`` (no key bias, BEiT). ``qk_norm``: LayerNorm of q and k per head.
    ``features``: that many random features in place of the softmax (see LinearKernel).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        qkv_bias: QkvBias = "all",
        qk_norm: bool = False,
        dropout: float = 0.0,
        eps: float = 1e-6,
        features: int | None = None,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not divisible by heads {heads}")
        self.heads, self.dropout = heads, dropout
        self.qkv = Linear(width, 3 * width, bias=qkv_bias == "all")
        self.q_bias = nn.Parameter(torch.zeros(width)) if qkv_bias == "qv" else None
        self.v_bias = nn.Parameter(torch.zeros(width)) if qkv_bias == "qv" else None
        self.q_norm = nn.LayerNorm(width // heads, eps=eps) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(width // heads, eps=eps) if qk_norm else nn.Identity()
        self.kernel = None if features is None else LinearKernel(width // heads, features)
        self.proj = Linear(width, width)

    def forward(self, x: Tensor, who: Who) -> Tensor:
        """x ``[M, n, D]`` or packed ``[n, D]`` -> the same shape."""
        q, k, v = self._qkv(x, who)
        if self.kernel is not None:
            return self.proj(self._linear(self.kernel, q, k, v, who))
        drop = self.dropout if self.training else 0.0
        if who.cu_seqlens is not None:
            return self.proj(_packed_attention(q, k, v, who, drop).flatten(-2))
        mask = _merge(who, q.dtype)
        causal = who.causal and mask is None
        if who.causal and mask is not None:
            mask = _and_causal(mask, q.shape[-2])
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=drop, is_causal=causal)
        return self.proj(out.transpose(1, 2).flatten(2))

    @staticmethod
    def _linear(kernel: LinearKernel, q: Tensor, k: Tensor, v: Tensor, who: Who) -> Tensor:
        if who.causal or who.bias is not None:
            raise ValueError("linear attention sees all tokens of a sequence alike: no causal order and no position bias")
        if who.cu_seqlens is not None:
            return kernel.packed(q, k, v, who.cu_seqlens, who.max_seqlen).flatten(-2)
        return kernel(q, k, v, who.keys).transpose(1, 2).flatten(2)  # type: ignore[no-any-return]

    def maps(self, x: Tensor, who: Who) -> Tensor:
        """Attention probabilities ``[M, heads, n, n]`` of dense tokens: materialised, for taps only."""
        if who.cu_seqlens is not None:
            raise ValueError("attention maps are for dense tokens; take one sequence with Who.alone")
        if self.kernel is not None:
            raise ValueError("linear attention has no attention maps")
        q, k, _ = self._qkv(x, who)
        scores = (q @ k.transpose(-2, -1)).float() * q.shape[-1] ** -0.5
        mask = _merge(who, scores.dtype)
        if who.causal:
            mask = _and_causal(mask, q.shape[-2], q.device)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
        return scores.softmax(-1)

    def _qkv(self, x: Tensor, who: Who) -> tuple[Tensor, Tensor, Tensor]:
        """Dense: ``[M, heads, n, d]`` each; packed: ``[n, heads, d]`` each."""
        q, k, v = self._projected(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        q, k = self.q_norm(q), self.k_norm(k)
        if who.cu_seqlens is None:
            q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if who.rotary is not None:
            if who.interleaved:  # the same turn of q and k after the same reordering: their products do not change
                q, k = pairs_apart(q), pairs_apart(k)
            q, k = rotate(q, who.rotary), rotate(k, who.rotary)
        return q, k, v

    def _projected(self, x: Tensor) -> Tensor:
        """``[..., 3 D]``. The layer itself is called, as another one may stand in its place (an adapter around it)."""
        if self.q_bias is None or self.v_bias is None:
            return self.qkv(x)  # type: ignore[no-any-return]
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        if type(self.qkv) is Linear:
            return linear(x, self.qkv.weight, bias)  # one kernel
        out: Tensor = self.qkv(x)
        return out + bias.to(out.dtype)


def pairs_apart(x: Tensor) -> Tensor:
    """``(x0, x1, x2, x3, ...)`` -> ``(x0, x2, ..., x1, x3, ...)``: neighbouring pairs become pairs (i, i + d/2)."""
    return torch.cat([x[..., ::2], x[..., 1::2]], dim=-1)


def rotate(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Half-split rotary positions (Su et al. 2021, eq. 34; pairs are (i, i + d/2)), in float32."""
    cos, sin = rotary
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return (x.float() * cos + turned * sin).to(x.dtype)


def _merge(who: Who, dtype: torch.dtype) -> Tensor | None:
    """One mask for the kernel: boolean when there is no bias, else additive."""
    if who.bias is None:
        return who.allowed
    bias = who.bias.to(dtype)
    if who.allowed is None:
        return bias
    return bias.masked_fill(~who.allowed, torch.finfo(dtype).min)


def _and_causal(mask: Tensor | None, n: int, device: torch.device | None = None) -> Tensor:
    device = mask.device if mask is not None else device
    lower = torch.ones(n, n, dtype=torch.bool, device=device).tril()
    if mask is None:
        return lower
    if mask.dtype == torch.bool:
        return mask & lower
    return mask.masked_fill(~lower, torch.finfo(mask.dtype).min)


def _packed_attention(q: Tensor, k: Tensor, v: Tensor, who: Who, dropout: float) -> Tensor:
    """q, k, v ``[n, heads, d]`` -> ``[n, heads, d]``; varlen kernel on CUDA in half precision, else one SDPA a sequence."""
    assert who.cu_seqlens is not None
    if q.is_cuda and q.dtype in (torch.float16, torch.bfloat16) and dropout == 0.0 and not who.causal:
        from torch.nn.attention.varlen import varlen_attn

        cu = who.cu_seqlens
        out = varlen_attn(q, k, v, cu, cu, who.max_seqlen, who.max_seqlen)
        assert isinstance(out, Tensor)
        return out
    lengths = who.lengths or tuple(who.cu_seqlens.diff().tolist())
    parts = []
    for qs, ks, vs in zip(q.split(lengths), k.split(lengths), v.split(lengths), strict=True):
        # a batch of one: the fused kernel of the CPU takes four axes, three fall back to a materialised matrix
        qs, ks, vs = (x.transpose(0, 1)[None] for x in (qs, ks, vs))
        one = F.scaled_dot_product_attention(qs, ks, vs, dropout_p=dropout, is_causal=who.causal)
        parts.append(one[0].transpose(0, 1))
    return torch.cat(parts)
