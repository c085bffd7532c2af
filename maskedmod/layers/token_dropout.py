"""Token dropout of ESM: mask tokens carry no vector, the others make up for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskedmod.core.tokens import Layout


class TokenDropout(nn.Module):
    """Zeroes the vectors of mask tokens and multiplies all by ``(1 - trained) / (1 - r)``, in training and in use.

    ``r``: share of mask tokens in the sample, class and end tokens counted and padding not; ``trained``: that share in
    pre-training, 0.15 * 0.8 in ESM (Lin et al. 2023, code: ``token_dropout``). A sample of mask tokens alone stays zero.
    """

    def __init__(self, trained: float) -> None:
        super().__init__()
        if not 0.0 <= trained < 1.0:
            raise ValueError(f"token_dropout must lie between 0 and 1, not {trained}")
        self.trained = trained

    def forward(self, x: Tensor, masked: Tensor, layout: Layout) -> Tensor:
        """x ``[M, N, D]`` or packed ``[L, D]``, masked bool ``[M, N]`` or ``[L]`` -> x of the same shape."""
        if layout.packed:
            seen = self._seen_packed(masked, layout)
        elif layout.valid is None:
            seen = 1.0 - masked.float().mean(1, keepdim=True)
        else:
            seen = 1.0 - (masked & layout.valid).sum(1, keepdim=True) / layout.valid.sum(1, keepdim=True).clamp(min=1)
        factor = (1.0 - self.trained) / torch.where(seen > 0, seen, 1.0)
        return x.masked_fill(masked[..., None], 0.0) * factor[..., None].to(x.dtype)

    def _seen_packed(self, masked: Tensor, layout: Layout) -> Tensor:
        """``1 - r`` of each token's sequence, ``[L]``."""
        assert layout.cu_seqlens is not None
        lengths = layout.cu_seqlens.diff().long()
        segment = torch.repeat_interleave(torch.arange(len(lengths), device=masked.device), lengths, output_size=len(masked))
        counts = torch.zeros(len(lengths), device=masked.device).index_add(0, segment, masked.float())
        return (1.0 - counts / lengths.clamp(min=1))[segment]
