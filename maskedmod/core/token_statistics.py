"""Features of tokens without any learning."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from maskedmod.core.latent import Latent
from maskedmod.core.tokens import Tokens


def token_statistics(tokens: Tokens, vocab: int | None) -> Tensor:
    """Mean and deviation of every token value over the valid tokens of each sample, ``[B, 2P]``; for ids (``vocab`` of them)
    the share of each, ``[B, vocab]``. Dense or packed."""
    values, wide = tokens.values, 1 if tokens.layout.packed else 2
    if vocab is not None:
        return Latent(F.one_hot(values.long(), vocab).float(), tokens.layout).mean()
    values = values.float().flatten(wide) if values.ndim > wide else values.float()[..., None]
    mean = Latent(values, tokens.layout).mean()
    square = Latent(values.square(), tokens.layout).mean()
    return torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], dim=1)
