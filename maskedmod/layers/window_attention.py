"""Attention in local windows on a lattice, with cosine scores and a small network for the position bias (Swin V2).

Liu et al. 2022 (Swin Transformer V2), eq. 2 and 4; as Audio-MAE uses it in its decoder (Huang et al. 2022, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.layers.block import BlockSettings, DropPath, Mlp, make_norm
from maskedmod.layers.linear import Linear

CLOSED = -1e4
"""Score of a forbidden pair: finite, so that a window with no valid key at all gives a mean and not NaN, and far below any open
score: these reach -100 at the smallest tau, where the published -100 would let pairs through."""


@dataclass(frozen=True)
class Windows:
    """How a lattice is cut: window and shift per axis, padded lattice, and which pairs may see each other."""

    grid: tuple[int, int]
    window: tuple[int, int]
    shift: tuple[int, int]

    @classmethod
    def fit(cls, grid: tuple[int, int], window: tuple[int, int], shift: tuple[int, int]) -> Windows:
        """Windows no larger than the lattice; an axis with one window is not shifted."""
        size = (min(window[0], grid[0]), min(window[1], grid[1]))
        moved = tuple(s if g > w else 0 for s, g, w in zip(shift, grid, size, strict=True))
        return cls(grid, size, (moved[0], moved[1]))

    @property
    def padded(self) -> tuple[int, int]:
        g, w = self.grid, self.window
        return (-(-g[0] // w[0]) * w[0], -(-g[1] // w[1]) * w[1])

    def split(self, x: Tensor) -> Tensor:
        """``[M, N, C]`` -> ``[M * windows, tokens per window, C]``, after padding and rolling."""
        (h, w), (wh, ww), (ph, pw) = self.grid, self.window, self.padded
        x = x.unflatten(1, (h, w))
        x = F.pad(x, (0, 0, 0, pw - w, 0, ph - h))
        x = x.roll((-self.shift[0], -self.shift[1]), dims=(1, 2))
        x = x.reshape(x.shape[0], ph // wh, wh, pw // ww, ww, x.shape[-1])
        return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, wh * ww, x.shape[-1])

    def join(self, x: Tensor, rows: int) -> Tensor:
        """Inverse of split."""
        (h, w), (wh, ww), (ph, pw) = self.grid, self.window, self.padded
        x = x.reshape(rows, ph // wh, pw // ww, wh, ww, -1).permute(0, 1, 3, 2, 4, 5).reshape(rows, ph, pw, -1)
        x = x.roll(self.shift, dims=(1, 2))
        return x[:, :h, :w].flatten(1, 2)

    def closed(self, valid: Tensor | None, device: torch.device) -> Tensor | None:
        """Additive mask ``[1 or M, windows, t, t]``: pairs from both sides of the seam, padding and invalid keys."""
        (h, w), (wh, ww), (ph, pw) = self.grid, self.window, self.padded
        if valid is None and self.shift == (0, 0) and self.padded == self.grid:
            return None
        side = torch.zeros(ph, pw, device=device)
        if self.shift[0]:
            side[ph - self.shift[0] :] += 1
        if self.shift[1]:
            side[:, pw - self.shift[1] :] += 2
        side = side.reshape(1, ph // wh, wh, pw // ww, ww).permute(0, 1, 3, 2, 4).reshape(1, -1, wh * ww)
        here = torch.ones(1, h * w, device=device) if valid is None else valid.float()
        key = self.split(here[..., None]).reshape(here.shape[0], -1, 1, wh * ww) > 0
        open_ = (side[..., :, None] == side[..., None, :]) & key
        return torch.where(open_, 0.0, CLOSED)


class WindowAttention(nn.Module):
    """Cosine attention in windows: ``cos(q, k) / tau + bias(offset)``; tau per head, at least 0.01."""

    def __init__(self, width: int, heads: int, window: tuple[int, int], hidden: int = 384, bias_dropout: float = 0.1) -> None:
        super().__init__()
        self.heads, self.window, self.bias_dropout = heads, window, bias_dropout
        self.qkv = Linear(width, 3 * width)
        self.proj = Linear(width, width)
        self.bias_in = nn.Linear(2, hidden)
        self.bias_out = nn.Linear(hidden, heads)
        self.tau = nn.Parameter(torch.ones(heads))

    def bias(self, window: tuple[int, int]) -> Tensor:
        """Position bias ``[heads, t, t]`` from log-spaced offsets."""
        device = self.tau.device
        axes = torch.meshgrid(*(torch.arange(w, device=device) for w in window), indexing="ij")
        at = torch.stack(axes, dim=-1).reshape(-1, 2).float()
        offset = at[:, None] - at[None]
        offset = offset.sign() * offset.abs().log1p()
        h = F.dropout(F.relu(self.bias_in(offset)), self.bias_dropout, self.training)
        h = F.dropout(self.bias_out(h), self.bias_dropout, self.training)
        return h.permute(2, 0, 1)

    def forward(self, x: Tensor, windows: Windows, closed: Tensor | None) -> Tensor:
        """x ``[M, N, D]`` on the lattice -> the same shape."""
        rows = x.shape[0]
        qkv = windows.split(self.qkv(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        tau = self.tau.clamp(min=0.01).reshape(1, -1, 1, 1)
        q = F.normalize(q.float(), dim=-1) / tau
        q, k = q.to(v.dtype), F.normalize(k.float(), dim=-1).to(v.dtype)
        mask = self.bias(windows.window)[None]
        if closed is not None:
            t = closed.shape[-1]
            mask = mask + closed.expand(rows, -1, t, t).reshape(-1, 1, t, t)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(v.dtype), scale=1.0)
        return self.proj(windows.join(out.transpose(1, 2).flatten(2), rows))


class WindowBlock(nn.Module):
    """Residual post-norm block: ``x + norm(attention(x))``, ``x + norm(mlp(x))`` (Swin V2, section 3.2)."""

    def __init__(self, s: BlockSettings, window: tuple[int, int], shift: tuple[int, int], drop_path: float = 0.0) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.attn = WindowAttention(s.width, s.heads, window)
        self.norm1 = make_norm(s.norm, s.width, s.eps)
        self.mlp = Mlp(s)
        self.norm2 = make_norm(s.norm, s.width, s.eps)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, grid: tuple[int, int], valid: Tensor | None) -> Tensor:
        """x ``[M, N, D]`` on ``grid``; ``valid`` bool ``[M, N]`` or None."""
        windows = Windows.fit(grid, self.window, self.shift)
        x = x + self.drop_path(self.norm1(self.attn(x, windows, windows.closed(valid, x.device))))
        return x + self.drop_path(self.norm2(self.mlp(x)))
