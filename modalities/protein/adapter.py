"""Proteins as packed sequences of residues."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from maskedmod.core.alphabet import Alphabet
from maskedmod.core.context import Context
from maskedmod.core.modality import Modality, Panel, Record
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.errors import UserError, nearest
from maskedmod.layers.ids import IdEmbedding
from maskedmod.sequences import vocabulary
from maskedmod.sequences.packing import cut, pack, unpack

from .alphabets import NAMES, RESIDUES, in_pairs
from .alphabets import alphabet as named
from .pairs import PairEmbedding
from .reading import Rules

PAIRS_UP_TO = 32
"""Shares of neighbouring pairs are raw features for alphabets of at most so many standard letters."""


class Protein(Modality):
    """Proteins written as letters, packed one after another with no padding.

    ``alphabet``: ids of ``esm`` (33 tokens), ``iupac`` (TAPE, 30) or ``saprot`` (446 pairs of residue and structure), or the path
    of a vocabulary in any order, with a token a line (``vocab.txt``; ``dict.txt`` of fairseq, ``vocab.json``,
    ``tokenizer.json``), of which a run keeps a copy. ``special``: of such a file, special tokens whose names do not tell what
    they are, by role (start, end, pad, mask, unk; null: none). ``vocab_size``: ids that it is filled up to with unused ones.
    ``max_length``: residues that the model sees at once, cls and eos not counted: training cuts longer proteins at random, anew
    every epoch, and features of longer ones come from overlapping windows; null: no limit. ``overlap``: residues that two
    windows share; null: a quarter of ``max_length``. ``gaps``: ``-`` and ``.`` are dropped, or kept as tokens. ``rare``: B, Z, U
    and O keep their ids, or are read as ``x``. Letters are read by the rules of ``reading.Rules``. UserError for values that do
    not fit.
    """

    columns = ("sequence", "seq", "protein", "protein_sequence", "primary", "aa_sequence", "aa_seq", "mutated_sequence")
    text = True
    too_long = "training sees a random part of longer ones, anew every epoch"
    windowing = ("max_length", "overlap")

    def __init__(
        self,
        alphabet: str = "esm",
        max_length: int | None = 1022,
        overlap: int | None = None,
        gaps: Literal["drop", "keep"] = "drop",
        rare: Literal["keep", "x"] = "keep",
        special: dict[str, str | None] | None = None,
        vocab_size: int | None = None,
    ) -> None:
        super().__init__()
        if max_length is not None and max_length < 1:
            raise UserError(f"max_length is {max_length}; expected 1 or more, or null for no limit")
        overlap = (max_length or 0) // 4 if overlap is None else overlap
        if overlap < 0 or (max_length is not None and overlap >= max(max_length, 2)):
            raise UserError(f"overlap is {overlap}; expected 0 or more and less than max_length, {max_length}")
        known = alphabet in NAMES
        if not known and "." not in alphabet and "/" not in alphabet and not Path(alphabet).exists():
            choices = f"expected {', '.join(NAMES)}, or the path of a vocabulary{nearest(alphabet, NAMES)}"
            raise UserError(f"alphabet={alphabet}: {choices}")
        if known and (special is not None or vocab_size is not None):
            raise UserError(f"special and vocab_size belong to a vocabulary of a file, not to alphabet={alphabet}")
        if known and gaps == "keep" and alphabet != "esm":
            raise UserError(f"gaps=keep: the alphabet {alphabet} has no gap")
        self.file = None if known else alphabet
        self.special, self.vocab_size = special, vocab_size
        self.alphabet = named(alphabet) if known else None
        self.name, self.gaps, self.rare = alphabet, gaps, rare
        self.max_length, self.overlap = max_length, overlap

    @property
    def letters(self) -> Alphabet:
        """The alphabet; one of a file is read when it is first asked for, since a run that is loaded brings its own copy."""
        if self.alphabet is None:
            self.alphabet = self._read()
        return self.alphabet

    def _read(self) -> Alphabet:
        kept = self.statistics.get("vocab")
        tokens = kept or vocabulary.read_tokens(self.name, self.vocab_size)
        found = vocabulary.alphabet(tokens, self.special, f"alphabet={self.name}", RESIDUES)
        if in_pairs(found):
            pairs = [token for token in tokens if len(token) == 2 and "#" not in token]
            return vocabulary.alphabet(tokens, self.special, f"alphabet={self.name}", pairs)
        if not set(RESIDUES) <= set(tokens):
            lost = ", ".join(sorted(set(RESIDUES) - set(tokens))[:5])
            raise UserError(f"alphabet={self.name} has no token for the residues {lost}, ...: it is no vocabulary of proteins")
        if self.gaps == "keep" and not {"-", "."} <= set(tokens):
            raise UserError(f"gaps=keep: the alphabet {self.name} has no gap")
        return found

    @cached_property
    def rules(self) -> Rules:
        """How letters are read."""
        return Rules(self.name, self.gaps, self.rare, None if self.file is None else self.letters)  # type: ignore[arg-type]

    @property
    def spec(self) -> Spec:
        """Ids on one axis, without a lattice."""
        return Spec(values=1, axes=1, vocab=len(self.letters))

    def measure(self, samples: Sequence[np.ndarray[Any, Any]]) -> dict[str, Any]:
        """A copy of a vocabulary of a file, so that the run can be read without it."""
        return {} if self.file is None else {"vocab": list(self.letters.tokens)}

    def read(self, record: Record) -> np.ndarray[Any, Any]:
        """Letters -> ids int16 ``[n + 2]`` with cls and eos. A training seed cuts ``max_length`` residues out of a longer one."""
        ids = self.rules.encode(record.data)
        ids = ids[cut(len(ids), self.max_length, record.extra.get("seed"))]
        first, last = ([] if end is None else [end] for end in (self.letters.cls, self.letters.eos))
        return np.concatenate([first, ids, last]).astype(np.int16)

    def token_lengths(self, lengths: Tensor) -> Tensor:
        """Residues (of pairs, half the letters) up to ``max_length``, with cls and eos."""
        residues = lengths // 2 if in_pairs(self.letters) else lengths
        return residues.clamp(max=self.max_length) + 2

    def collate(self, samples: Sequence[np.ndarray[Any, Any]]) -> dict[str, Any]:
        """See ``maskedmod.sequences.packing.pack``."""
        return pack(samples, self.spec.vocab or 0)

    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """Nothing is left to do."""
        return dict(batch)

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        """View ``main``: packed ids ``[L]``; cls and eos are never masked."""
        return {"main": unpack(batch, self.letters)}

    def embedding(self, width: int) -> nn.Module:
        """A vector per id; hiding a pair of residue and structure leaves the structure (Su et al. 2024, section 3.3)."""
        letters = self.letters
        return PairEmbedding(letters, width) if in_pairs(letters) else IdEmbedding(len(letters), width, letters.mask)

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        """The ids themselves."""
        return values

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Panel]:
        """Strips of coloured letters, one per protein, without cls and eos; hidden residues are grey."""
        from .picture import strip

        cu, letters = tokens.layout.cu_seqlens, self.letters
        assert cu is not None
        ends, panels = (letters.cls, letters.eos), []
        ids = values.reshape(-1).tolist()
        gone = [False] * len(ids) if hidden is None else hidden.tolist()
        for a, b in zip(cu[:-1].tolist(), cu[1:].tolist(), strict=True):
            inner = [i for i in range(a, b) if ids[i] not in ends]
            panels.append(Panel(strip([letters.tokens[ids[i]] for i in inner], [gone[i] for i in inner])))
        return panels

    def demo(self, split: str) -> Sequence[Record]:
        """Generated families, see ``demo.records``."""
        from .demo import records

        return records(split, in_pairs(self.letters))

    def raw_features(self, batch: dict[str, Any]) -> Tensor:
        """Share of every standard residue, logarithm of the length, and for alphabets of single letters the share of every pair
        of neighbours, ``[B, 20 + 1 + 400]``."""
        letters = self.letters
        tokens = unpack(batch, letters)
        cu = tokens.layout.cu_seqlens
        assert cu is not None
        n, kinds = len(tokens.values), len(letters.standard)
        table = torch.full((len(letters),), kinds, device=tokens.device)
        table[torch.tensor(letters.standard, device=tokens.device)] = torch.arange(kinds, device=tokens.device)
        kind, sequence = table[tokens.values], tokens.layout.segments()
        parts = [_shares(kind, sequence, tokens.batch, kinds)]
        length = (cu.diff() - sum(end is not None for end in (letters.cls, letters.eos))).clamp(min=1)
        parts.append(length.float().log()[:, None])
        if kinds <= PAIRS_UP_TO:
            both = (kind[:-1] < kinds) & (kind[1:] < kinds) if n > 1 else kind[:0].bool()
            pair = torch.where(both, kind[:-1] * kinds + kind[1:], kinds * kinds)
            parts.append(_shares(pair, sequence[:-1], tokens.batch, kinds * kinds))
        return torch.cat(parts, dim=1)

    def unit(self) -> str:
        """Throughput counts residues."""
        return "residue"


def _shares(kind: Tensor, sequence: Tensor, count: int, kinds: int) -> Tensor:
    """Share of each kind below ``kinds`` in every sequence, ``[S, kinds]``; others are left out."""
    counted = torch.zeros(count * kinds, device=kind.device)
    used = kind < kinds
    counted.index_add_(0, (sequence * kinds + kind)[used], torch.ones(int(used.sum()), device=kind.device))
    counted = counted.reshape(count, kinds)
    return counted / counted.sum(1, keepdim=True).clamp(min=1)
