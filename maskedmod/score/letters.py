"""Letters of residues over the ids of an alphabet: one id each, or one per state where tokens are pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from maskedmod.core.alphabet import Alphabet
from maskedmod.errors import UserError


class Letters:
    """The letter of a token is its first character: ``A`` of ``A``, and of ``Ap`` (residue and state of its structure).

    ``names``: letters that a residue can be mutated to, X and the rare ones too, in the order of the alphabet. ``standard``:
    those among them that a scan tries, sorted. UserError for an alphabet whose standard tokens differ in length (words, atoms),
    which has no such letters.
    """

    def __init__(self, alphabet: Alphabet) -> None:
        content = [i for i in alphabet.standard if i != alphabet.unk]
        if len({len(alphabet.tokens[i]) for i in content}) != 1:
            raise UserError("mutants are of alphabets of single letters (proteins); the tokens of this one differ in length")
        self.alphabet = alphabet
        size = len(alphabet.tokens[content[0]])
        usual = [i not in alphabet.special and len(token) == size for i, token in enumerate(alphabet.tokens)]
        self.of = [token[0] if usual[i] else "" for i, token in enumerate(alphabet.tokens)]
        self.names = list(dict.fromkeys(letter for letter in self.of if letter.isalpha()))
        self.standard = sorted({alphabet.tokens[i][0] for i in content})
        self.place = {letter: i for i, letter in enumerate(self.names)}
        self._groups = [torch.tensor([i for i, own in enumerate(self.of) if own == letter]) for letter in self.names]

    def text(self, ids: Tensor) -> str:
        """The letters of ids ``[n]``; ``?`` for a token that is none."""
        return "".join(self.of[i] or "?" for i in ids.tolist())

    def swapped(self, token: int, letter: str) -> int:
        """Id of a token with another letter; its state of the structure stays."""
        return self.alphabet.index[letter + self.alphabet.tokens[token][1:]]

    def log_probs(self, of_ids: Tensor) -> Tensor:
        """Log probabilities of ids ``[..., V]`` -> of letters ``[..., len(names)]``; states of one letter are added up."""
        groups = [group.to(of_ids.device) for group in self._groups]
        columns = [of_ids[..., g[0]] if len(g) == 1 else of_ids[..., g].logsumexp(-1) for g in groups]
        return torch.stack(columns, dim=-1)
