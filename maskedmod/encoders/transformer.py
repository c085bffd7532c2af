"""Isotropic Transformer over any token set: visible-only or mask-token input, dense or packed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.core.apply import Seen, Sees
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.latent import Latent
from maskedmod.core.mask_set import Visibility
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens, take
from maskedmod.layers.attention import QkvBias, Who
from maskedmod.layers.block import Block, BlockSettings, make_norm
from maskedmod.layers.corruption import Swapped
from maskedmod.layers.ids import IdEmbedding
from maskedmod.layers.init import Init, initialise, rescale_by_depth
from maskedmod.layers.positions import PositionMlp, Positions, Rotary, SinCos, Table, make_positions
from maskedmod.layers.positions import RelativeBias as Relative
from maskedmod.layers.token_dropout import TokenDropout

ADDED = ("sincos", "learned", "frozen", "mlp")
"""Positions that are vectors added to tokens."""


class Transformer(Encoder):
    """Vision Transformer (Dosovitskiy et al. 2021) and its relatives, for tokens of any modality.

    ``sees``: ``visible`` encodes kept tokens only (MAE); ``mask_token`` puts a learned token at hidden places, after the
    embedding and before positions (SimMIM, BEiT); ``corrupt``: as the mask's codes say (BERT); ``full``.
    Ids whose alphabet has a mask token are hidden by its id, other tokens by a vector of the encoder.
    ``mask_at``, for ``visible``: ``values`` embeds kept tokens only; ``embedded`` embeds all and then leaves out the hidden ones,
    so that a BatchNorm of the embedding counts them (Point-MAE).
    ``positions``: sincos, learned, frozen (a published table), rotary (pairs i, i + d/2), rotary_interleaved (neighbouring
    pairs), relative (attention bias), mlp (of coordinates; prefix tokens have learned ones), none. ``relative``: attention
    biases beside other positions: none, shared (one table for all blocks) or block (one each; fine-tuned BEiT, SimMIM).
    ``every_block``: positions are added to the input of every block (Point-MAE). ``max_length``: rows of learned positions
    for sequences, ``position_offset`` unused rows before them (ESM-1b, RoBERTa: 2);
    ``position_hidden``: width inside those of mlp.
    ``classes``: number of class tokens (0 or 1), ``registers``: further prefix tokens. Packed tokens bring their own.
    ``embed_norm``: norm after embedding and positions (BERT, ESM-1b). ``token_dropout``: share of mask tokens in pre-training
    by which ESM rescales the others (see TokenDropout), null: mask tokens have their vector.
    ``norm_place``: pre or post; ``final_norm``: norm after the last block, null: with pre-norm alone.
    ``qkv_bias``: all, none, qv. ``qk_norm``: LayerNorm of q and k per head. ``random_features``: linear attention with that
    many (MolFormer: 32), null: softmax.
    ``layer_scale``: start value or null. ``drop_path``: rate at the last block, linear in depth. ``dropout``: after the
    embedding, attention and MLP. ``causal``: a token sees those before it.
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
        mask_at: Literal["values", "embedded"] = "values",
        positions: Positions = "sincos",
        relative: Literal["none", "shared", "block"] = "none",
        every_block: bool = False,
        max_length: int | None = None,
        position_offset: int = 0,
        classes: int = 1,
        registers: int = 0,
        mlp_ratio: float = 4.0,
        activation: Literal["gelu", "gelu_tanh", "quick_gelu", "relu", "swiglu"] = "gelu",
        norm: Literal["layer", "rms"] = "layer",
        norm_place: Literal["pre", "post"] = "pre",
        final_norm: bool | None = None,
        embed_norm: bool = False,
        token_dropout: float | None = None,
        eps: float = 1e-6,
        qkv_bias: QkvBias = "all",
        qk_norm: bool = False,
        random_features: int | None = None,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        causal: bool = False,
        init: Init = "xavier",
        init_std: float = 0.02,
        rescale: bool = False,
        position_hidden: int = 128,
    ) -> None:
        super().__init__()
        if depth < 0:
            raise ValueError(f"depth must be 0 or more, not {depth}")
        if every_block and positions not in ADDED:
            raise ValueError(
                f"every_block adds positions to tokens: positions must be one of {', '.join(ADDED)}, not {positions}"
            )
        if relative != "none" and positions == "relative":
            raise ValueError(f"positions=relative is one shared table already; with relative={relative} take positions=none")
        self.mask_at, self.every_block = mask_at, every_block
        self.width, self.sees, self.causal, self.heads = width, sees, causal, heads
        self.prefix = classes + registers
        self.has_class = classes > 0
        settings = BlockSettings(
            width, heads, mlp_ratio, qkv_bias, qk_norm, norm, eps, norm_place, activation, layer_scale, dropout, attention_dropout
        )
        settings = replace(settings, random_features=random_features)
        self.embed = embedding(width)
        self.own_mask = isinstance(self.embed, IdEmbedding) and self.embed.mask is not None
        if token_dropout is not None and not self.own_mask:
            raise ValueError("token_dropout needs a modality of ids whose alphabet has a mask token")
        self.token_dropout = None if token_dropout is None else TokenDropout(token_dropout)
        self.embed_norm = make_norm(norm, width, eps) if embed_norm else nn.Identity()
        self.dropout = dropout
        rates = torch.linspace(0, drop_path, depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(Block(settings, rate) for rate in rates)
        last = norm_place == "pre" if final_norm is None else final_norm
        self.norm = make_norm(norm, width, eps) if last else nn.Identity()
        self.positions = make_positions(positions, spec, width, heads, max_length, position_offset, position_hidden)
        tables = {"none": 0, "shared": min(depth, 1), "block": depth}[relative]
        self.relative = nn.ModuleList(Relative(spec, heads) for _ in range(tables))
        self.interleaved = positions == "rotary_interleaved"
        initialise(self, init, init_std)
        if rescale:
            rescale_by_depth(self.blocks)
        self.prefix_tokens = nn.Parameter(torch.randn(1, self.prefix, width) * 0.02) if self.prefix else None
        placed = self.prefix and positions == "mlp"
        self.prefix_positions = nn.Parameter(torch.randn(1, self.prefix, width) * 0.02) if placed else None
        vector = sees in ("mask_token", "corrupt") and not self.own_mask
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02) if vector else None

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """Encode; taps: ``block.i``, ``mlp.i``, ``attention.i`` with i from 0, or negative from the end. Tapped token tensors
        have no prefix tokens; those after block i are the tap ``prefix.i``. ``bias``: the relative bias ``[M or 1, heads, n, n]``
        that all blocks share, prefix tokens first; not there where there is none."""
        x, who = self._start(seen)
        shared = {} if "bias" not in taps or who[0].bias is None or len(self.relative) > 1 else {"bias": who[0].bias}
        x, tapped = self._run(x, who, set(taps) - {"bias"})
        x = self.norm(x)
        p = self.prefix
        layout = seen.tokens.layout
        prefix = x[:, :p] if p else None
        return Latent(x[:, p:] if p else x, layout, prefix, seen.index, taps=tapped | shared, has_class=self.has_class)

    def units(self) -> list[nn.Module]:
        return list(self.blocks)

    def walk(self, seen: Seen) -> Iterator[tuple[Block, Tensor, Who]]:
        """Block by block: the block, its input, who attends to whom; for what looks into the blocks and keeps little."""
        x, whos = self._start(seen)
        for block, who in zip(self.blocks, whos, strict=False):
            assert isinstance(block, Block)
            yield block, x, who
            x = block(x, who)

    def _start(self, seen: Seen) -> tuple[Tensor, Sequence[Who]]:
        """Input of the first block, prefix tokens first, and who attends to whom in every block (one at least)."""
        x, added = self.embedded(seen), self._added(seen.tokens) if self.every_block else None
        if self.prefix_tokens is not None:
            first: Tensor = self.prefix_tokens
            if self.prefix_positions is not None and not self.every_block:
                first = first + self.prefix_positions
            x = torch.cat([first.to(x.dtype).expand(x.shape[0], -1, -1), x], dim=1)
        who = replace(self._who(seen), added=added)
        if len(self.relative) < 2:
            return x, [who] * max(1, len(self.blocks))
        return x, [replace(who, bias=table(seen.tokens.pos, self.prefix)) for table in self.relative]

    def _added(self, tokens: Tokens) -> Tensor:
        """Positions of the tokens, those of prefix tokens first (0 where these have none)."""
        places = self.positions(tokens.pos, tokens.layout.grid)
        if self.prefix_positions is not None:
            return torch.cat([self.prefix_positions.expand(len(places), -1, -1), places], dim=1)
        return F.pad(places, (0, 0, self.prefix, 0))

    def embedded(self, seen: Seen) -> Tensor:
        """Vectors of the tokens, ``[M, n, D]`` or packed ``[n, D]``, with positions unless every block adds them."""
        tokens, layout = seen.tokens, seen.tokens.layout
        if self.own_mask:
            assert isinstance(self.embed, IdEmbedding)
            ids = self.embed.hide(tokens.values, seen.hidden)
            x = self.embed(ids)
            if self.token_dropout is not None:
                x = self.token_dropout(x, ids == self.embed.mask, layout)
        else:
            x = self._vectors(seen)
            if isinstance(seen.mask, Swapped):
                x = seen.mask.exchange(x)
            if seen.hidden is not None:
                assert self.mask_token is not None
                x = torch.where(seen.hidden[..., None], self.mask_token.to(x.dtype), x)
        if isinstance(self.positions, Table) and layout.packed:
            self.positions.check(layout.max_seqlen)
        if isinstance(self.positions, SinCos | Table | PositionMlp) and not self.every_block:
            x = x + self.positions(tokens.pos, layout.grid).to(x.dtype)
        return F.dropout(self.embed_norm(x), self.dropout, self.training)

    def _vectors(self, seen: Seen) -> Tensor:
        if self.mask_at == "values" or seen.whole is None or seen.index is None:
            return self.embed(seen.tokens.values)
        return take(self.embed(seen.whole.values), seen.index)

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
            if isinstance(self.positions, Relative) or len(self.relative):
                raise ValueError("encoder.positions=relative is for tokens on a grid; packed tokens take rotary or sincos")
            return Who.packed(layout, visibility.causal, rotary, self.interleaved)
        shared = self.positions if isinstance(self.positions, Relative) else self.relative[0] if len(self.relative) == 1 else None
        bias = None if shared is None else shared(pos, self.prefix)
        keys = None if layout.valid is None else F.pad(layout.valid, (self.prefix, 0), value=True)
        allowed = _allowed(keys, visibility, self.prefix)
        return Who(allowed, bias, visibility.causal, rotary, self.interleaved, keys)

    def _run(self, x: Tensor, whos: Sequence[Who], taps: set[str]) -> tuple[Tensor, dict[str, Tensor]]:
        tapped: dict[str, Tensor] = {}
        depth, p = len(self.blocks), self.prefix
        wanted: dict[int, dict[str, str]] = {}
        for tap in taps:
            kind, _, number = tap.partition(".")
            if kind not in ("block", "mlp", "attention", "prefix") or not -depth <= int(number or depth) < depth:
                raise ValueError(f"tap {tap!r}: expected block.i, mlp.i, attention.i or prefix.i with i below {depth}")
            wanted.setdefault(int(number) % depth, {})[kind] = tap
        for i, (module, who) in enumerate(zip(self.blocks, whos, strict=False)):
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


def _allowed(keys: Tensor | None, visibility: Visibility, prefix: int) -> Tensor | None:
    """Boolean mask for dense attention: key padding and generation order; None when everybody sees everybody."""
    allowed = None if keys is None else keys[:, None, None, :]
    if visibility.order is not None:
        order = F.pad(visibility.order, (prefix, 0), value=-1)
        rows, columns = order[:, None, :, None], order[:, None, None, :]
        sees = columns <= rows
        if not visibility.same_rank:
            sees = (columns < rows) | torch.eye(order.shape[1], dtype=torch.bool, device=order.device)
        allowed = sees if allowed is None else allowed & sees
    return allowed
