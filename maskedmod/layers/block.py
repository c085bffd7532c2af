"""The Transformer block and its small parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.layers.attention import Attention, QkvBias, Who
from maskedmod.layers.linear import Linear


@dataclass(frozen=True)
class BlockSettings:
    """Everything that papers choose differently in a block; encoders and decoders fill it from their own arguments."""

    width: int
    heads: int
    mlp_ratio: float = 4.0
    qkv_bias: QkvBias = "all"
    qk_norm: bool = False
    norm: Literal["layer", "rms"] = "layer"
    eps: float = 1e-6
    place: Literal["pre", "post"] = "pre"
    activation: Literal["gelu", "gelu_tanh", "quick_gelu", "relu", "swiglu"] = "gelu"
    layer_scale: float | None = None
    dropout: float = 0.0
    attention_dropout: float = 0.0
    random_features: int | None = None

    def __post_init__(self) -> None:
        for name in ("width", "heads", "mlp_ratio"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")


def make_norm(kind: str, width: int, eps: float) -> nn.Module:
    """LayerNorm or RMSNorm."""
    return nn.RMSNorm(width, eps=eps) if kind == "rms" else nn.LayerNorm(width, eps=eps)


class Mlp(nn.Module):
    """``fc2(act(fc1(x)))``; SwiGLU (Shazeer 2020) gates with a second projection inside fc1; quick_gelu is ``x sigmoid(1.702 x)``
    (Hendrycks & Gimpel 2016, section 2; CLIP)."""

    def __init__(self, s: BlockSettings) -> None:
        super().__init__()
        hidden = int(s.width * s.mlp_ratio)
        self.activation, self.dropout = s.activation, s.dropout
        self.fc1 = Linear(s.width, 2 * hidden if s.activation == "swiglu" else hidden)
        self.fc2 = Linear(hidden, s.width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.fc1(x)
        if self.activation == "swiglu":
            gate, up = h.chunk(2, dim=-1)
            h = F.silu(gate) * up
        elif self.activation == "relu":
            h = F.relu(h)
        elif self.activation == "quick_gelu":
            h = h * torch.sigmoid(1.702 * h)
        else:
            h = F.gelu(h, approximate="tanh" if self.activation == "gelu_tanh" else "none")
        return F.dropout(self.fc2(F.dropout(h, self.dropout, self.training)), self.dropout, self.training)


class LayerScale(nn.Module):
    """Learned per-channel factor of a residual branch (Touvron et al. 2021, CaiT eq. 2)."""

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class DropPath(nn.Module):
    """Drops a residual branch for whole samples, scaled by 1/(1-rate) (Huang et al. 2016). Packed tokens: per token."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if self.rate == 0.0 or not self.training:
            return x
        keep = 1.0 - self.rate
        return x * (torch.empty(x.shape[0], *[1] * (x.ndim - 1), device=x.device).bernoulli_(keep) / keep).to(x.dtype)


class Block(nn.Module):
    """Attention and MLP with residuals, norms before (pre) or after (post) the sum."""

    def __init__(self, s: BlockSettings, drop_path: float = 0.0) -> None:
        super().__init__()
        self.post = s.place == "post"
        self.norm1 = make_norm(s.norm, s.width, s.eps)
        self.attn = Attention(s.width, s.heads, s.qkv_bias, s.qk_norm, s.attention_dropout, s.eps, s.random_features)
        self.norm2 = make_norm(s.norm, s.width, s.eps)
        self.mlp = Mlp(s)
        self.scale1 = nn.Identity() if s.layer_scale is None else LayerScale(s.width, s.layer_scale)
        self.scale2 = nn.Identity() if s.layer_scale is None else LayerScale(s.width, s.layer_scale)
        self.drop_path = DropPath(drop_path)
        self.dropout = s.dropout

    def forward(self, x: Tensor, who: Who) -> Tensor:
        """x ``[M, n, D]`` or packed ``[n, D]`` -> the same shape."""
        return self.think(self.mix(x, who))[0]

    def mix(self, x: Tensor, who: Who) -> Tensor:
        """The attention half."""
        x = x if who.added is None else x + who.added
        branch = self.attn(x if self.post else self.norm1(x), who)
        x = x + self.drop_path(self.scale1(F.dropout(branch, self.dropout, self.training)))
        return self.norm1(x) if self.post else x

    def think(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The MLP half -> (output, MLP branch with its layer scale, before its residual)."""
        branch = self.scale2(self.mlp(x if self.post else self.norm2(x)))
        out = x + self.drop_path(branch)
        return (self.norm2(out) if self.post else out), branch

    def maps(self, x: Tensor, who: Who) -> Tensor:
        """Attention probabilities of this block for input x."""
        x = x if who.added is None else x + who.added
        return self.attn.maps(x if self.post else self.norm1(x), who)


def make_stages(widths: Sequence[int], depths: Sequence[int], settings: BlockSettings, drop_path: float) -> nn.ModuleList:
    """A list of blocks for every level of a pyramid; ``drop_path``: rate at the last block, linear in depth over all levels."""
    rates = iter(torch.linspace(0, drop_path, sum(depths), device="cpu").tolist())
    levels = [(replace(settings, width=width), depth) for width, depth in zip(widths, depths, strict=True)]
    return nn.ModuleList(nn.ModuleList(Block(level, next(rates)) for _ in range(depth)) for level, depth in levels)
