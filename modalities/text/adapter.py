"""The adapter: from plain text to packed ids of words and pieces of words, and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from maskedmod.core.alphabet import Alphabet
from maskedmod.core.context import Context
from maskedmod.core.modality import Modality, Panel, Record, altered, written
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.errors import UserError
from maskedmod.layers.ids import IdEmbedding
from maskedmod.sequences.packing import cut, pack, unpack
from maskedmod.sequences.strange import count_unknown
from maskedmod.sequences.subword import Subword, read_subword, train_subword

TRAINED = ("wordpiece", "byte_bpe")

Sample = tuple[Any, ...]
"""A text, the seed of its cut in training, and where they are known already its ids with a mark of the tokenizer they are of."""


class Text(Modality):
    """Plain text as packed sequences of word pieces.

    ``tokenizer``: ``wordpiece`` (BERT, Devlin et al. 2019) or ``byte_bpe`` (RoBERTa, Liu et al. 2019) is trained on at most
    20,000 samples of the training data, drawn at random, and kept with the run; or the path of a ``tokenizer.json``, of a
    Hugging Face folder or of a vocabulary (``vocab.txt``, ``dict.txt`` of fairseq), of which a run keeps a copy.
    ``special``: special tokens whose names do not tell what they are, by role (start, end, pad, mask, unk; null: none).
    ``vocab_size``: number of ids; those that the data do not fill stay unused, as in BERT's own vocabulary.
    ``lower``: lower case, without accents (a trained tokenizer only). ``max_length``: tokens that the model sees at once, ends
    counted: training cuts longer texts at random, anew in every epoch; otherwise the first tokens are used, and it is told.
    """

    text: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = ("text", "sentence", "content", "document")
    too_long: ClassVar[str] = "training sees a random part of longer ones, anew every epoch"
    measured_on: ClassVar[int] = 20_000

    def __init__(
        self,
        tokenizer: str = "wordpiece",
        vocab_size: int = 30522,
        lower: bool = True,
        max_length: int = 512,
        special: dict[str, str | None] | None = None,
    ) -> None:
        super().__init__()
        least = 300 if tokenizer in TRAINED else 2
        if vocab_size < least or max_length < 3:
            raise UserError(f"modality: vocab_size={vocab_size}, max_length={max_length}; expected at least {least} and 3")
        self.tokenizer, self.vocab_size, self.lower, self.max_length = tokenizer, vocab_size, lower, max_length
        self.special = special
        self._subword: Subword | None = None

    @property
    def spec(self) -> Spec:
        return Spec(values=1, axes=1, vocab=self.vocab_size)

    def read(self, record: Record) -> Sample:
        """A string, or UTF-8 bytes -> the string, and the seed that cuts it in training. BadSample when there is nothing."""
        data = written(record.data, "text")
        seed = record.extra.get("seed")
        if not self._trained:
            return data, seed
        ids = self.encode(data)
        if seed is None and len(ids) > self.max_length:
            altered(f"text of {len(ids)} tokens cut to its first {self.max_length}")
        return data, seed, ids, hash(self.subword.text)

    def encode(self, text: str) -> list[int]:
        """Ids between those of the ends, however many. Unknown ones are told; more than half are a BadSample."""
        ids = self.subword.ids(text)
        count_unknown(*self.subword.unknown(ids), "is this text in the language of the tokenizer? vocabulary= names another")
        return ids

    def token_lengths(self, lengths: Tensor) -> Tensor:
        """No more pieces than letters (of English, about a quarter), up to ``max_length``."""
        return (lengths + 2).clamp(max=self.max_length)

    def collate(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """See ``maskedmod.sequences.packing.pack``."""
        rows = []
        for text, seed, *known in samples:
            fresh = not known or known[1] != hash(self.subword.text)
            ids = np.array(self.subword.ids(text) if fresh else known[0], np.int64)
            inner = ids[self._first : len(ids) - self._last]
            most = self.max_length - self._first - self._last
            part = cut(len(inner), most, seed) if seed is not None else slice(0, most)
            rows.append(np.concatenate([ids[: self._first], inner[part], ids[len(ids) - self._last :]]))
        return pack(rows, self.vocab_size)

    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        return batch

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        """``main``: ids int64 ``[L]``, pos ``[L, 1]`` from 0 in every text; the ends are not eligible."""
        return {"main": unpack(batch, self.letters)}

    def embedding(self, width: int) -> nn.Module:
        """A vector for every id. The mask token is a row of it; its place is fixed by how tokenizers are trained here, so that a
        model can be built before there is one."""
        return IdEmbedding(self.vocab_size, width, self._mask_id())

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        """Ids are the signal."""
        return values

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids without the ends; a hidden token is written by its name."""
        return self.subword.decode(ids)

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Panel]:
        """The pieces as words on a page; hidden ones on grey. ``values``: ids ``[L]``."""
        from .picture import page

        assert tokens.layout.cu_seqlens is not None
        edges = tokens.layout.cu_seqlens.tolist()
        panels = []
        for first, last in pairwise(edges):
            pieces = [self.subword.decode([i]) or self.letters.tokens[i] for i in values[first:last].long().tolist()]
            flags = [False] * len(pieces) if hidden is None else hidden[first:last].tolist()
            panels.append(Panel(page(pieces, flags)))
        return panels

    def demo(self, split: str) -> Sequence[Record]:
        """Paragraphs of the documentation that is in Python itself."""
        from .demo import records

        return records(split)

    def measure(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """The tokenizer, trained on the samples or copied from its file, as text."""
        if self.tokenizer not in TRAINED:
            return {"tokenizer": read_subword(Path(self.tokenizer), self.vocab_size, self.special).text}
        kind = "wordpiece" if self.tokenizer == "wordpiece" else "byte_bpe"
        made = train_subword((text for text, *_ in samples), kind, self.vocab_size, self.lower)  # type: ignore[arg-type]
        return {"tokenizer": made.text, "texts": len(samples)}

    @property
    def subword(self) -> Subword:
        """The tokenizer: the run's copy, else the file. UserError when it is still to be trained."""
        kept = self.statistics.get("tokenizer")
        if self._subword is None or (kept is not None and self._subword.text != kept):
            if not self._trained:
                raise UserError(f"modality.tokenizer={self.tokenizer} has not been trained yet: train, or give its path")
            if kept is not None:
                self._subword = Subword(kept, self.vocab_size, "the run's tokenizer", self.special)
            else:
                self._subword = read_subword(Path(self.tokenizer), self.vocab_size, self.special)
        return self._subword

    @property
    def _trained(self) -> bool:
        return "tokenizer" in self.statistics or self.tokenizer not in TRAINED

    @property
    def letters(self) -> Alphabet:
        """Names of all ids."""
        return self.subword.alphabet

    @property
    def _first(self) -> int:
        return int(self.letters.cls is not None)

    @property
    def _last(self) -> int:
        return int(self.letters.eos is not None)

    def _mask_id(self) -> int:
        if not self._trained:
            return 4  # of BERT's and RoBERTa's special tokens, which training puts first
        mask = self.letters.mask
        assert mask is not None
        return mask
