"""Features of an encoder that sees the whole, unmasked sample: which layer, and how its tokens become one vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from maskedmod.apply import Seen
from maskedmod.context import Context
from maskedmod.encoders import Encoder
from maskedmod.errors import UserError
from maskedmod.modality import Modality
from maskedmod.tokens import Latent, Tokens

Pool = Literal["mean", "cls", "none"]


@dataclass(frozen=True)
class Features:
    """``pool``: ``mean`` over the tokens of a sample (padding left out), ``cls`` the class token, ``none`` every token.
    ``layer``: output of that block, counted from 0, negative from the end, before any final norm; None: what the encoder gives
    to its heads, after the final norm. Built for one encoder by ``features``; UserError for what it does not have."""

    pool: Pool = "mean"
    layer: int | None = None

    def __call__(self, encoder: Encoder, tokens: Tokens) -> Tensor:
        """``[B, D]``, or ``[B, N, D]`` with ``pool=none``, where tokens of padding are NaN. Keeps gradients."""
        latent = self.latent(encoder, tokens)
        if self.pool == "mean":
            return latent.mean()
        if self.pool == "cls":
            assert latent.prefix is not None
            return latent.prefix[:, 0]
        valid = latent.layout.valid
        return latent.tokens if valid is None else latent.tokens.masked_fill(~valid[..., None], float("nan"))

    def latent(self, encoder: Encoder, tokens: Tokens) -> Latent:
        """The tokens, and prefix tokens, of the chosen layer. Raises UserError for packed tokens with ``pool=none``."""
        if tokens.layout.packed and self.pool == "none":
            raise UserError("pool=none: samples of different length have no common shape; pool=mean gives a vector each")
        if self.layer is None:
            return encoder(Seen(tokens))  # type: ignore[no-any-return]
        taps = [f"block.{self.layer}"] + ([f"prefix.{self.layer}"] if self.pool == "cls" else [])
        latent = encoder(Seen(tokens), taps)
        return Latent(latent.taps[taps[0]], latent.layout, latent.taps.get(taps[-1]) if self.pool == "cls" else None)


def features(encoder: Encoder, pool: Pool = "mean", layer: int | None = None) -> Features:
    """Checked settings for one encoder."""
    if pool not in get_args(Pool):
        raise UserError(f"pool={pool!r}: accepted are {', '.join(get_args(Pool))}")
    if pool == "cls" and not getattr(encoder, "has_class", False):
        raise UserError("pool=cls: this encoder has no class token; pool=mean averages its tokens")
    if layer is not None:
        if isinstance(layer, bool) or not isinstance(layer, int):
            raise UserError(f"layer={layer!r}: expected an integer, the number of a block")
        depth = encoder.depth()
        if not -depth <= layer < depth:
            raise UserError(f"layer={layer}: this encoder has blocks 0 to {depth - 1} (or -{depth} to -1)")
    return Features(pool, layer)


def tokens_of(modality: Modality, batch: dict[str, Any], device: torch.device) -> Tokens:
    """A collated batch -> its tokens on the device, prepared without augmentation: the view ``main``, else the first one."""
    moved = {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}
    views = modality.tokenize(modality.prepare(moved, Context(training=False)))
    return views["main"] if "main" in views else next(iter(views.values()))


def device_of(module: torch.nn.Module) -> torch.device:
    """Where a module's parameters lie."""
    return next(module.parameters()).device
