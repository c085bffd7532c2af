"""Embedding of ids: residues, atoms, words."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class IdEmbedding(nn.Module):
    """One vector per id: int64 ``[...]`` -> ``[..., width]``.

    ``mask``: id of the mask token where the alphabet has one; an encoder then hides a token by giving it this id, so that the
    mask vector is a row of the table, as in BERT and ESM. None: the encoder has a mask vector of its own. First values:
    normal, deviation 0.02 (BERT).
    """

    def __init__(self, vocab: int, width: int, mask: int | None = None) -> None:
        super().__init__()
        if mask is not None and not 0 <= mask < vocab:
            raise ValueError(f"mask id {mask} is none of the {vocab} ids")
        self.mask = mask
        self.weight = nn.Parameter(torch.empty(vocab, width).normal_(std=0.02))

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids.long(), self.weight)

    def hide(self, ids: Tensor, hidden: Tensor | None) -> Tensor:
        """ids with the mask id where ``hidden`` (bool, the same shape). Raises ValueError when there is no mask id."""
        if self.mask is None:
            raise ValueError("this embedding has no mask id")
        return ids if hidden is None else ids.masked_fill(hidden, self.mask)
