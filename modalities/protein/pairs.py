"""Embedding of pairs of residue and structure, of which hiding takes the residue alone."""

from __future__ import annotations

import torch
from torch import Tensor

from maskedmod.core.alphabet import Alphabet
from maskedmod.layers.ids import IdEmbedding


class PairEmbedding(IdEmbedding):
    """As IdEmbedding for alphabets of pairs (SaProt), where a hidden ``Mp`` becomes ``#p``: the structure stays."""

    def __init__(self, letters: Alphabet, width: int) -> None:
        super().__init__(len(letters), width, letters.mask)
        mask = 0 if letters.mask is None else letters.mask
        hidden = [letters.index.get("#" + token[1:], mask) if len(token) == 2 else mask for token in letters.tokens]
        self._hidden = hidden

    def hide(self, ids: Tensor, hidden: Tensor | None) -> Tensor:
        """ids with the residue unknown where ``hidden``; special tokens become the mask token."""
        if hidden is None:
            return ids
        return ids.where(~hidden, torch.tensor(self._hidden, device=ids.device)[ids])
