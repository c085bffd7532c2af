"""Isotropic Transformer over any token set: visible-only or mask-token input, dense or packed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from maskedmod.apply import Seen, Sees
from maskedmod.encoders import Encoder
from maskedmod.layers.attention import QkvBias, Who
from maskedmod.layers.block import Block, BlockSettings, make_norm
from maskedmod.layers.init import Init, initialise, rescale_by_depth
from maskedmod.layers.positions import Positions, Rotary, SinCos, Table
from maskedmod.layers.positions import RelativeBias as Relative
from maskedmod.tokens import Latent, Layout, Spec, Visibility


class Transformer(Encoder):
    """Vision Transformer (Dosovitskiy et al. 2021) and its relatives, for tokens of any modality.

    ``sees``: ``visible`` encodes kept tokens only (MAE); ``mask_token`` puts a learned token at hidden places, after the
    embedding and before positions (SimMIM, BEiT); ``corrupt``: as the mask's codes say (BERT); ``full``.
    ``positions``: sincos, learned, frozen (a published table), rotary, relative (attention bias), none.
    ``classes``: number of class tokens (0 or 1), ``registers``: further prefix tokens.
    ``norm_place``: pre or post; ``final_norm``: LayerNorm after the last block (pre-norm only).
    ``qkv_bias``: all, none, qv. ``layer_scale``: start value or null. ``drop_path``: rate at the last block, linear in depth.
    ``init``: xavier (MAE) or trunc_normal; ``rescale``: divide output weights by sqrt(2 l) (BEiT).
    ``eps``: of all norms. Widths must be divisible by ``heads``.
    """

    def __init__(
        self,
        spec: Spec,
        embedding: Callable[[int], nn.Module],
        depth: int = 12,
        width: int = 768,
        heads: int = 12,
        sees: Sees = "visible",
        positions: Positions = "sincos",
        classes: int = 1,
        registers: int = 0,
        mlp_ratio: float = 4.0,
        activation: Literal["gelu", "gelu_tanh", "relu", "swiglu"] = "gelu",
        norm: Literal["layer", "rms"] = "layer",
        norm_place: Literal["pre", "post"] = "pre",
        final_norm: bool = True,
        eps: float = 1e-6,
        qkv_bias: QkvBias = "all",
        qk_norm: bool = False,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        causal: bool = False,
        init: Init = "xavier",
        init_std: float = 0.02,
        rescale: bool = False,
    ) -> None:
        super().__init__()
        if depth < 0:
            raise ValueError(f"depth must be 0 or more, not {depth}")
        self.width, self.sees, self.causal, self.heads = width, sees, causal, heads
        self.prefix = classes + registers
        self.has_class = classes > 0
        settings = BlockSettings(
            width, heads, mlp_ratio, qkv_bias, qk_norm, norm, eps, norm_place, activation, layer_scale, dropout, attention_dropout
        )
        self.embed = embedding(width)
        rates = torch.linspace(0, drop_path, depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(Block(settings, rate) for rate in rates)
        self.norm = make_norm(norm, width, eps) if final_norm and norm_place == "pre" else nn.Identity()
        self.positions = _positions(positions, spec, width, heads)
        initialise(self, init, init_std)
        if rescale:
            rescale_by_depth(self.blocks)
        self.prefix_tokens = nn.Parameter(torch.randn(1, self.prefix, width) * 0.02) if self.prefix else None
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02) if sees in ("mask_token", "corrupt") else None

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """Encode; taps: ``block.i``, ``mlp.i``, ``attention.i`` with i from 0, or negative from the end. Tapped token tensors
        have no prefix tokens; those after block i are the tap ``prefix.i``."""
        x = self._embed(seen)
        who = self._who(seen)
        if self.prefix_tokens is not None:
            x = torch.cat([self.prefix_tokens.to(x.dtype).expand(x.shape[0], -1, -1), x], dim=1)
        x, tapped = self._run(x, who, set(taps))
        x = self.norm(x)
        p = self.prefix
        layout = seen.tokens.layout
        prefix = x[:, :p] if p else None
        return Latent(x[:, p:] if p else x, layout, prefix, seen.index, taps=tapped, has_class=self.has_class)

    def units(self) -> list[nn.Module]:
        return list(self.blocks)

    def _embed(self, seen: Seen) -> Tensor:
        tokens = seen.tokens
        x = self.embed(tokens.values)
        if seen.hidden is not None:
            assert self.mask_token is not None
            x = torch.where(seen.hidden[..., None], self.mask_token.to(x.dtype), x)
        if isinstance(self.positions, SinCos | Table):
            x = x + self.positions(tokens.pos, tokens.layout.grid).to(x.dtype)
        return x

    def _who(self, seen: Seen) -> Who:
        layout, pos = seen.tokens.layout, seen.tokens.pos
        if self.prefix and layout.packed:
            raise ValueError("packed tokens bring their own class tokens: set encoder.classes=0 and encoder.registers=0")
        visibility = seen.visibility or Visibility(causal=self.causal)
        rotary = None
        if isinstance(self.positions, Rotary):
            cos, sin = self.positions(pos, self.prefix)
            head_axis = 1 if not layout.packed else -2
            rotary = (cos.unsqueeze(head_axis), sin.unsqueeze(head_axis))
        if layout.packed:
            if isinstance(self.positions, Relative):
                raise ValueError("encoder.positions=relative is for tokens on a grid; packed tokens take rotary or sincos")
            return Who.packed(layout, visibility.causal, rotary)
        bias = self.positions(pos, self.prefix) if isinstance(self.positions, Relative) else None
        return Who(_allowed(layout, visibility, self.prefix), bias, visibility.causal, rotary)

    def _run(self, x: Tensor, who: Who, taps: set[str]) -> tuple[Tensor, dict[str, Tensor]]:
        tapped: dict[str, Tensor] = {}
        depth, p = len(self.blocks), self.prefix
        wanted: dict[int, dict[str, str]] = {}
        for tap in taps:
            kind, _, number = tap.partition(".")
            if kind not in ("block", "mlp", "attention", "prefix") or not -depth <= int(number or depth) < depth:
                raise ValueError(f"tap {tap!r}: expected block.i, mlp.i, attention.i or prefix.i with i below {depth}")
            wanted.setdefault(int(number) % depth, {})[kind] = tap
        for i, module in enumerate(self.blocks):
            if i not in wanted:
                x = module(x, who)
                continue
            block, names = module, wanted[i]
            assert isinstance(block, Block)
            if "attention" in names:
                tapped[names["attention"]] = block.maps(x, who)
            x, branch = block.think(block.mix(x, who))
            if "prefix" in names:
                tapped[names["prefix"]] = x[:, :p]
            for kind, tensor in (("block", x), ("mlp", branch)):
                if kind in names:
                    tapped[names[kind]] = tensor[:, p:] if p else tensor
        return x, tapped


def _positions(kind: Positions, spec: Spec, width: int, heads: int) -> nn.Module:
    if kind == "sincos":
        return SinCos(width)
    if kind in ("learned", "frozen"):
        return Table(spec, width, frozen=kind == "frozen")
    if kind == "rotary":
        return Rotary(width // heads, spec.axes)
    if kind == "relative":
        return Relative(spec, heads)
    return nn.Identity()


def _allowed(layout: Layout, visibility: Visibility, prefix: int) -> Tensor | None:
    """Boolean mask for dense attention: key padding and generation order; None when everybody sees everybody."""
    allowed = None
    if layout.valid is not None:
        keys = nn.functional.pad(layout.valid, (prefix, 0), value=True)
        allowed = keys[:, None, None, :]
    if visibility.order is not None:
        order = nn.functional.pad(visibility.order, (prefix, 0), value=-1)
        rows, columns = order[:, None, :, None], order[:, None, None, :]
        sees = columns <= rows if visibility.same_rank else (columns < rows) | torch.eye(
            order.shape[1], dtype=torch.bool, device=order.device
        )
        allowed = sees if allowed is None else allowed & sees
    return allowed
