"""Embedding of pairs of residue and structure, of which hiding takes the residue alone."""

from __future__ import annotations

from torch import Tensor

from maskedmod.layers.ids import IdEmbedding

from .alphabets import FOLDSEEK_RESIDUES, FOLDSEEK_STATES, alphabet


class PairEmbedding(IdEmbedding):
    """As IdEmbedding for the ``saprot`` alphabet, where a hidden ``Mp`` becomes ``#p``: the structure stays."""

    def hide(self, ids: Tensor, hidden: Tensor | None) -> Tensor:
        """ids with the residue unknown where ``hidden``; special tokens become the mask token."""
        if hidden is None:
            return ids
        first, states = alphabet("saprot").index["Ap"], len(FOLDSEEK_STATES)
        unknown = first + (len(FOLDSEEK_RESIDUES) - 1) * states + (ids - first) % states
        assert self.mask is not None
        return ids.where(~hidden, unknown.where(ids >= first, self.mask))
