"""Attention whose cost is linear in the length: a feature map in place of the softmax."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

EPS = 1e-6


class LinearKernel(nn.Module):
    """``f(q) (f(k)^T v) / (f(q) sum f(k) + 1e-6)`` with ``f(x) = relu(x W)`` (Katharopoulos et al. 2020, eq. 5; MolFormer,
    Ross et al. 2022, section 2: generalised random features).

    ``W`` ``[head width, features]``, shared by all heads: orthogonal blocks with the lengths of Gaussian rows. It is drawn anew
    at every training step (``redraw``), from torch's generator; in evaluation the stored one is used, so results repeat.
    """

    def __init__(self, head_width: int, features: int, redraw: bool = True) -> None:
        super().__init__()
        if features < 1:
            raise ValueError(f"random_features must be at least 1, not {features}")
        self.redraw = redraw
        self.register_buffer("omega", orthogonal_features(head_width, features))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, keys: Tensor | None = None) -> Tensor:
        """q, k, v ``[M, heads, n, d]``, keys bool ``[M, n]`` (False: padding) -> ``[M, heads, n, d]``."""
        omega = self.get_buffer("omega")
        if self.training and self.redraw:
            omega = orthogonal_features(omega.shape[0], omega.shape[1], omega.device)
        omega = omega.to(q.dtype)
        fq, fk = (q @ omega).relu(), (k @ omega).relu()
        if keys is not None:
            fk = fk * keys[:, None, :, None].to(fk.dtype)
        norm = fq @ fk.sum(-2)[..., None] + EPS
        return (fq @ (fk.transpose(-2, -1) @ v)) / norm

    def packed(self, q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, longest: int) -> Tensor:
        """The same for packed ``[L, heads, d]``. Here alone sequences are padded, to ``longest``: the sums over a sequence are
        products of small matrices, and the linear maps around see no padding."""
        lengths = cu_seqlens.diff().long()
        keys = torch.arange(longest, device=q.device) < lengths[:, None]
        place = cu_seqlens[:-1].long()[:, None] + torch.arange(longest, device=q.device)
        place = torch.where(keys, place, 0)
        q_pad, k_pad, v_pad = (x[place].transpose(1, 2) for x in (q, k, v))
        out = self.forward(q_pad, k_pad, v_pad, keys)
        segment = torch.repeat_interleave(torch.arange(len(lengths), device=q.device), lengths, output_size=len(q))
        return out[segment, :, torch.arange(len(q), device=q.device) - cu_seqlens.long()[segment]]


def orthogonal_features(rows: int, columns: int, device: torch.device | None = None) -> Tensor:
    """``[rows, columns]``: blocks of orthonormal columns, each scaled by the length of a Gaussian vector, so that one column is
    distributed as a Gaussian vector (Choromanski et al. 2021, section 2.4)."""
    blocks = []
    for _ in range(math.ceil(columns / rows)):
        gauss = torch.randn(rows, rows, device=device)
        blocks.append(torch.linalg.qr(gauss)[0] * gauss.norm(dim=1))
    return torch.cat(blocks, dim=1)[:, :columns].contiguous()
