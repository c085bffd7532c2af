"""The adapter: from SMILES strings to packed ids, and back to formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from maskedmod.core.alphabet import Alphabet
from maskedmod.core.context import Context
from maskedmod.core.modality import BadSample, Grouping, Modality, Panel, Record, altered, written
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.layers.ids import IdEmbedding
from maskedmod.sequences.packing import pack, unpack
from maskedmod.sequences.strange import count_unknown
from maskedmod.sequences.subword import Subword, read_subword

from . import chemistry, vocabulary
from .smiles import atom_spans, cut_atoms, cut_characters
from .splits import scaffold_splits

Sample = tuple[np.ndarray[Any, Any], str]
"""Ids with the ends, and the string that they are."""


class Molecule(Modality):
    """SMILES strings as packed sequences of tokens.

    ``tokenizer``: ``atoms``, the pattern of MolFormer (Ross et al. 2022), with a fixed vocabulary that writes any bracket atom,
    a rare one in its parts; ``characters`` (SMILES-BERT, Wang et al. 2019); or a trained one, the path of a ``tokenizer.json`` or
    of a Hugging Face folder, which a run keeps a copy of. ``vocab``: file with the tokens of the first two, one a line (also a
    ``dict.txt``, ``vocab.json``). ``special``: its special tokens whose names do not tell, by role (start, end, pad, mask, unk;
    null: none). ``vocab_size``: ids that it is filled up to with unused ones.
    ``unknown``: what is no token is an ``error`` (a bad sample that names it) or becomes ``unk``, which is counted and told, and
    refused where it is more than half. Reactions, ``A.B>>C``, are read where the vocabulary has ``>>`` or ``>``.
    ``check``: strings that RDKit cannot read are bad samples; False believes every string.
    ``canonical``: write every molecule in RDKit's canonical form. ``randomise``: share of the training samples that are written
    from another atom on, drawn anew in every epoch; validation is never randomised.
    ``max_length``: longer samples, ends counted, are bad samples (a cut SMILES would be another molecule); None: no limit.
    """

    text: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = ("smiles", "SMILES", "Smiles", "canonical_smiles", "mol", "molecule")

    def __init__(
        self,
        tokenizer: str = "atoms",
        vocab: str | None = None,
        unknown: Literal["error", "unk"] = "error",
        check: bool = True,
        canonical: bool = False,
        randomise: float = 0.0,
        max_length: int | None = None,
        special: dict[str, str | None] | None = None,
        vocab_size: int | None = None,
    ) -> None:
        super().__init__()
        if not 0.0 <= randomise <= 1.0:
            raise ValueError(f"modality.randomise={randomise}: a share between 0 and 1")
        if unknown not in ("error", "unk"):
            raise ValueError(f"modality.unknown={unknown!r}: accepted are error, unk")
        self.tokenizer, self.vocab, self.unknown, self.check = tokenizer, vocab, unknown, check
        self.canonical, self.randomise, self.max_length = canonical, randomise, max_length
        self.special, self.vocab_size = special, vocab_size
        self._subword: Subword | None = None

    @property
    def spec(self) -> Spec:
        return Spec(values=1, axes=1, vocab=len(self.letters))

    def read(self, record: Record) -> Sample:
        """A string, or UTF-8 bytes -> int64 ids ``[n]`` and the string. BadSample names what cannot be read."""
        smiles = _string(record.data)
        if chemistry.is_entry(smiles):
            smiles = chemistry.canonical(chemistry.entry(written(record.data, "a SMILES string")))
            altered("an SDF entry, written as SMILES by RDKit")
            if not smiles:
                raise BadSample("has no atom")
        seed = record.extra.get("seed")
        molecule = chemistry.parse(smiles) if self.check or self.canonical or self.randomise else None
        if ">" in smiles and (self.canonical or self.randomise):
            raise BadSample("is a reaction, which canonical and randomise would write as one molecule: they must be off")
        if self.canonical:
            smiles = chemistry.canonical(molecule)
        if seed is not None and not record.extra.get("held_out") and _share(seed) < self.randomise:
            smiles = chemistry.randomised(molecule, seed)
        ids = self.encode(smiles)
        if self.max_length is not None and len(ids) > self.max_length:
            raise BadSample(f"has {len(ids)} tokens, modality.max_length is {self.max_length}")
        return np.array(ids, np.int64), smiles

    def encode(self, smiles: str) -> list[int]:
        """Ids between cls and eos. BadSample, or a word by ``altered``, for what is no token."""
        alphabet = self.letters
        if (subword := self._trained()) is not None:
            ids = subword.ids(smiles)
            strange = ["?"] * (0 if alphabet.unk is None else ids.count(alphabet.unk))
            total = len(ids) - sum(end is not None for end in (alphabet.cls, alphabet.eos))
            if not strange and subword.decode(ids) != smiles:
                raise BadSample(f"{smiles!r}: the tokenizer {self.tokenizer} drops characters of it")
        else:
            cut = cut_characters if self.tokenizer == "characters" else cut_atoms
            pieces, strange = cut(smiles, alphabet)
            total = len(pieces)
            bad = bool(strange) and (self.unknown == "error" or alphabet.unk is None)
            ids = [] if bad else alphabet.encode(pieces)
        if strange and (self.unknown == "error" or alphabet.unk is None):
            raise BadSample(f"{smiles!r} has {', '.join(sorted(set(strange)))}, no token of the vocabulary")
        count_unknown(len(strange), total, "is this a SMILES string, and the vocabulary of this model?")
        return ids

    def token_lengths(self, lengths: Tensor) -> Tensor:
        """No token is shorter than a letter, and two are added; a string that is written anew may be longer, seldom by half."""
        longest = lengths * 3 // 2 if self.randomise or self.canonical else lengths
        return (longest if self.max_length is None else longest.clamp(max=self.max_length - 2)) + 2

    def collate(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """``ids`` ``[L]``, ``cu_seqlens``, ``max_seqlen`` and the strings as ``smiles``."""
        return {**pack([ids for ids, _ in samples], len(self.letters)), "smiles": [smiles for _, smiles in samples]}

    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        return batch

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        """``main``: ids int64 ``[L]``, pos ``[L, 1]`` from 0 in every molecule; the ends are not eligible."""
        return {"main": unpack(batch, self.letters)}

    def embedding(self, width: int) -> nn.Module:
        """A vector for every id."""
        return IdEmbedding(len(self.letters), width, self.letters.mask)

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        """Ids are the signal."""
        return values

    def decode(self, ids: Sequence[int]) -> str:
        """The string of ids ``[n]`` without the ends; a hidden token is written by its name."""
        subword = self._trained()
        return "".join(self.letters.decode(ids)) if subword is None else subword.decode(ids)

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Panel]:
        """Structural formulas; atoms of hidden tokens on grey. ``values``: ids ``[L]``."""
        from .picture import formula

        assert tokens.layout.cu_seqlens is not None
        edges = tokens.layout.cu_seqlens.tolist()
        panels = []
        for first, last in pairwise(edges):
            ids = values[first:last].long().tolist()
            flags = [False] * len(ids) if hidden is None else hidden[first:last].tolist()
            smiles, marked = self._marked(ids, flags)
            panels.append(Panel(formula(smiles, marked), smiles))
        return panels

    def _marked(self, ids: Sequence[int], flags: Sequence[bool]) -> tuple[str, list[int]]:
        """The string, and the numbers of the atoms of which a token is flagged."""
        pieces = [self.decode([i]) for i in ids]
        smiles = "".join(pieces)
        covered: list[bool] = [flag for piece, flag in zip(pieces, flags, strict=True) for _ in piece]
        return smiles, [number for number, (a, b) in enumerate(atom_spans(smiles)) if any(covered[a:b])]

    def demo(self, split: str) -> Sequence[Record]:
        """4,991 molecules that come with RDKit, a tenth of them for ``val``; label: polar surface area."""
        from .demo import records

        return records(split)

    def measure(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """A copy of a trained tokenizer or of a vocabulary file, so that the run can be read without them."""
        if (subword := self._trained()) is not None:
            return {"tokenizer": subword.text}
        return {} if self.vocab is None else {"vocab": list(self.letters.tokens)}

    def raw_features(self, batch: dict[str, Any]) -> Tensor:
        """Morgan fingerprints of radius 2, float32 ``[S, 1024]``."""
        return torch.from_numpy(chemistry.fingerprints(batch["smiles"])).to(batch["ids"].device)

    def groupings(self) -> Mapping[str, Grouping]:
        """The scaffold splits of the literature, which are four different ones, see docs/molecule.md."""
        return scaffold_splits(lambda record: _string(record.data))

    @property
    def letters(self) -> Alphabet:
        """The alphabet, found when it is first asked for: a run that is loaded brings its own copy of a file."""
        if self.alphabet is None:
            self.alphabet = self._find_alphabet()
        return self.alphabet

    def _find_alphabet(self) -> Alphabet:
        if (subword := self._trained()) is not None:
            return subword.alphabet
        if self.vocab is not None:
            kept = self.statistics.get("vocab")
            if kept:
                return vocabulary.of(kept, "the run's vocabulary", self.special)
            return vocabulary.from_file(self.vocab, self.special, self.vocab_size)
        return vocabulary.characters() if self.tokenizer == "characters" else vocabulary.atoms()

    def _trained(self) -> Subword | None:
        """The trained tokenizer: the run's copy, else the file; None for the two built-in ones."""
        if self.tokenizer in ("atoms", "characters"):
            return None
        if self._subword is None:
            kept = self.statistics.get("tokenizer")
            path = Path(self.tokenizer)
            rows, named = self.vocab_size, self.special
            self._subword = Subword(kept, rows, "the run's tokenizer", named) if kept else read_subword(path, rows, named)
        return self._subword


def _string(data: Any) -> str:
    """The SMILES of a record's data; blanks around it do not count."""
    return written(data, "a SMILES string").strip()


def _share(seed: int) -> float:
    return float(np.random.default_rng(seed).random())
