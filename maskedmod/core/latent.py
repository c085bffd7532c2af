"""What an encoder returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskedmod.core.tokens import Layout, Tokens


@dataclass
class Latent:
    """What an encoder returns.

    ``tokens`` ``[M, n, D]`` (packed ``[n, D]``), without prefix tokens; ``prefix`` ``[M, p, D]`` class and register tokens;
    ``index`` int64 ``[M, n]`` input position of every token (None = all N in order); ``layout`` of these n tokens;
    ``levels``: pyramid stages, each Tokens; ``taps``: named intermediate tensors that somebody asked for
    (``"block.3"``: output of block 3, ``"prefix.3"``: the prefix tokens there, ``"mlp.3"``: its MLP branch,
    ``"attention.3"``: its attention maps).
    """

    tokens: Tensor
    layout: Layout = field(default_factory=Layout)
    prefix: Tensor | None = None
    index: Tensor | None = None
    levels: tuple[Tokens, ...] = ()
    taps: dict[str, Tensor] = field(default_factory=dict)
    has_class: bool = False

    def mean(self) -> Tensor:
        """Mean over valid tokens, ``[M, D]`` (packed: one row a sequence, ``[S, D]``)."""
        lay, x = self.layout, self.tokens
        if lay.cu_seqlens is not None:
            seg = lay.segments()
            count = lay.cu_seqlens.diff().clamp(min=1).to(x.dtype)
            total = x.new_zeros(len(count), *x.shape[1:]).index_add(0, seg, x)
            return total / count.reshape(-1, *[1] * (x.ndim - 1))
        if lay.valid is None:
            return x.mean(1)
        w = lay.valid.to(x.dtype)[..., None]
        return (x * w).sum(1) / w.sum(1).clamp(min=1)

    def total(self) -> Tensor:
        """Sum over valid tokens, shapes as of ``mean``."""
        lay, x = self.layout, self.tokens
        if lay.cu_seqlens is not None:
            return x.new_zeros(len(lay.cu_seqlens) - 1, *x.shape[1:]).index_add(0, lay.segments(), x)
        return (x if lay.valid is None else x * lay.valid.to(x.dtype)[..., None]).sum(1)

    def largest(self) -> Tensor:
        """Largest value over valid tokens, ``[M, D]`` (packed: one row a sequence, ``[S, D]``)."""
        lay, x = self.layout, self.tokens
        if lay.cu_seqlens is not None:
            rows = lay.segments()[:, None].expand_as(x)
            return x.new_zeros(len(lay.cu_seqlens) - 1, x.shape[1]).scatter_reduce(0, rows, x, "amax", include_self=False)
        return (x if lay.valid is None else x.masked_fill(~lay.valid[..., None], -torch.inf)).amax(1)

    def pooled(self) -> Tensor:
        """Class token when there is one, else the mean over tokens."""
        if self.prefix is not None and self.has_class:
            return self.prefix[:, 0]
        return self.mean()
