"""Features of an encoder that sees the whole, unmasked sample: which layer, and how its tokens become one vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.modality import Modality
from maskedmod.core.tokens import Tokens
from maskedmod.errors import UserError
from maskedmod.sequences.windows import encode

Pool = Literal["mean", "sum", "max", "mean_max", "cls", "none"]


@dataclass(frozen=True)
class Features:
    """``pool``: ``mean`` over the tokens of a sample (padding left out, and what stands around a sequence),
    ``sum`` and ``max`` of them, ``mean_max`` the mean plus the largest value (point clouds), ``cls`` the class token, ``none``
    every token.
    ``layer``: output of that block, counted from 0, negative from the end, before any final norm; None: what the encoder gives
    to its heads, after the final norm. Built for one encoder by ``features``; UserError for what it does not have."""

    pool: Pool = "mean"
    layer: int | None = None

    def __call__(self, encoder: Encoder, tokens: Tokens, modality: Modality) -> Tensor:
        """``[B, D]``, or ``[B, N, D]`` with ``pool=none``, where padding is NaN, as are places beyond the end of a sequence that
        is shorter than others. Keeps gradients."""
        latent = self.latent(encoder, tokens, modality)
        if self.pool == "mean":
            return latent.mean()
        if self.pool == "sum":
            return latent.total()
        if self.pool == "max":
            return latent.largest()
        if self.pool == "mean_max":
            return latent.mean() + latent.largest()
        if self.pool == "cls":
            assert latent.prefix is not None
            return latent.prefix[:, 0]
        if latent.layout.cu_seqlens is not None:
            parts = latent.tokens.split(latent.layout.cu_seqlens.diff().tolist())
            return pad_sequence(list(parts), batch_first=True, padding_value=float("nan"))
        valid = latent.layout.valid
        return latent.tokens if valid is None else latent.tokens.masked_fill(~valid[..., None], float("nan"))

    def latent(self, encoder: Encoder, tokens: Tokens, modality: Modality) -> Latent:
        """The tokens, and prefix tokens, of the chosen layer; see ``maskedmod.sequences.windows.encode``."""
        return encode(encoder, tokens, modality, self.layer)


def features(encoder: Encoder, modality: Modality, pool: Pool = "mean", layer: int | None = None) -> Features:
    """Checked settings for one encoder."""
    if pool not in get_args(Pool):
        raise UserError(f"pool={pool!r}: accepted are {', '.join(get_args(Pool))}")
    first = modality.alphabet is not None and modality.alphabet.cls is not None  # sequences bring their own
    if pool == "cls" and not first and not getattr(encoder, "has_class", False):
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
