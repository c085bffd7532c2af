"""Trained tokenizers (WordPiece, BPE) of the ``tokenizers`` library: read, trained, kept as text that a run can store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from maskedmod.core.alphabet import Alphabet
from maskedmod.errors import UserError, one_line
from maskedmod.support.compat import require

Kind = Literal["wordpiece", "byte_bpe", "bpe"]
KINDS = get_args(Kind)

SPECIAL = {
    "start": ("[CLS]", "<s>", "<cls>", "<bos>"),
    "end": ("[SEP]", "</s>", "<eos>"),
    "pad": ("[PAD]", "<pad>"),
    "mask": ("[MASK]", "<mask>"),
    "unk": ("[UNK]", "<unk>"),
}
"""Names that published tokenizers have for special tokens."""

BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = 1000
"""Most letters that a WordPiece alphabet has; words with others are unknown."""
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


class Subword:
    """A tokenizer from the JSON text of the ``tokenizers`` library. ``vocab``: number of ids that the alphabet is filled up to
    with unused tokens, as BERT's vocabulary has them. UserError for text that is no tokenizer, for one without a mask token,
    and for one with more tokens than ``vocab``."""

    def __init__(self, text: str, vocab: int | None = None, origin: str = "tokenizer") -> None:
        library = require("tokenizers", "text")
        self.text, self.vocab, self.origin = text, vocab, origin
        try:
            self.tokenizer: Any = library.Tokenizer.from_str(text)
        except Exception as error:
            raise UserError(f"{origin} is no tokenizer of the tokenizers library: {one_line(str(error))}") from None
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def __getstate__(self) -> dict[str, Any]:
        return {"text": self.text, "vocab": self.vocab, "origin": self.origin}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @cached_property
    def alphabet(self) -> Alphabet:
        """Names of all ids. Holes and the rest up to ``vocab`` are unused tokens, never drawn as replacements."""
        names = {i: name for name, i in self.tokenizer.get_vocab(with_added_tokens=True).items()}
        size = max(names) + 1
        if self.vocab is not None and size > self.vocab:
            raise UserError(f"{self.origin} has {size} tokens, the recipe's vocab_size is {self.vocab}")
        tokens = [names.get(i, f"<unused {i}>") for i in range(self.vocab or size)]
        found = {role: next((name for name in accepted if name in tokens), None) for role, accepted in SPECIAL.items()}
        if found["mask"] is None:
            raise UserError(f"{self.origin} has no mask token; expected one called {' or '.join(SPECIAL['mask'])}")
        also = {name for i, name in enumerate(tokens) if i not in names}
        added = self.tokenizer.get_added_tokens_decoder().values()
        also |= {token.content for token in added if token.special} - {found["unk"], *filter(None, found.values())}
        start, end, pad, mask, unk = (found[role] for role in SPECIAL)
        return Alphabet.named(tokens, start=start, end=end, pad=pad, mask=mask, unk=unk, also_special=sorted(also))

    def ids(self, text: str) -> list[int]:
        """Ids of a text between those of start and end."""
        return self.framed(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def framed(self, ids: list[int]) -> list[int]:
        """Ids between those of start and end, where the alphabet has such."""
        a = self.alphabet
        return [*([] if a.cls is None else [a.cls]), *ids, *([] if a.eos is None else [a.eos])]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids without the ends; a hidden token stays visible by its name."""
        out = {self.alphabet.cls, self.alphabet.eos, self.alphabet.pad}
        return str(self.tokenizer.decode([i for i in ids if i not in out], skip_special_tokens=False))


def read_subword(path: str | Path, vocab: int | None = None) -> Subword:
    """From a ``tokenizer.json``, or a folder of Hugging Face with that file, with ``vocab.txt`` (WordPiece) or with
    ``vocab.json`` and ``merges.txt`` (byte-level BPE). UserError when there is none of them."""
    path = Path(path)
    file = path / "tokenizer.json" if path.is_dir() else path
    if file.is_file():
        try:
            return Subword(file.read_text(encoding="utf-8"), vocab, str(file))
        except UnicodeDecodeError:
            raise UserError(f"{file} is no tokenizer of the tokenizers library: not UTF-8") from None
    if (path / "vocab.txt").is_file():
        library = require("tokenizers", "text")
        lower = bool(_settings(path).get("do_lower_case", True))
        found = library.BertWordPieceTokenizer(str(path / "vocab.txt"), lowercase=lower)
        return Subword(found.to_str(), vocab, str(path))
    if (path / "vocab.json").is_file() and (path / "merges.txt").is_file():
        library = require("tokenizers", "text")
        found = library.ByteLevelBPETokenizer(str(path / "vocab.json"), str(path / "merges.txt"))
        return Subword(found.to_str(), vocab, str(path))
    raise UserError(f"tokenizer {path}: expected a tokenizer.json, or a folder with it, vocab.txt, or vocab.json and merges.txt")


def train_subword(texts: Iterable[str], kind: Kind, vocab: int, lower: bool = False, least: int = 2) -> Subword:
    """Train on texts. ``wordpiece``: BERT's normalisation, words and ``##`` pieces. ``byte_bpe``: GPT-2's and RoBERTa's, over
    bytes, so that nothing is unknown. ``bpe``: over the characters of whole lines (SMILES). ``least``: how often a pair must
    occur to be merged. The same texts in the same order give the same tokenizer."""
    if kind not in KINDS:
        raise UserError(f"tokenizer kind {kind!r}: accepted are {', '.join(KINDS)}")
    require("tokenizers", "text")
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    common: dict[str, Any] = {"vocab_size": vocab, "min_frequency": least, "show_progress": False}
    if kind == "wordpiece":
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer = normalizers.BertNormalizer(lowercase=lower)
        made.pre_tokenizer, made.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
        texts = list(texts)
        inner = _inner_letters(made, texts)
        trainer: Any = trainers.WordPieceTrainer(special_tokens=[*BERT, *inner], limit_alphabet=LETTERS, **common)
    elif kind == "byte_bpe":
        made = Tokenizer(models.BPE())
        made.normalizer = normalizers.Lowercase() if lower else None
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        letters = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(special_tokens=list(ROBERTA), initial_alphabet=sorted(letters), **common)
    else:
        made = Tokenizer(models.BPE(unk_token="<unk>"))
        made.decoder = decoders.Fuse()
        trainer = trainers.BpeTrainer(special_tokens=list(ROBERTA), **common)
    made.train_from_iterator(texts, trainer)
    written = json.loads(made.to_str())
    written["added_tokens"] = [token for token in written["added_tokens"] if not token["content"].startswith("##")]
    return Subword(json.dumps(written, ensure_ascii=False), None, f"{kind} tokenizer")


def _inner_letters(tokenizer: Any, texts: list[str]) -> list[str]:
    """``##a``, ``##b``, ... for every letter of the texts but rare ones. Given to the library as if they were special, they get
    their ids in this order; by itself it numbers them as a hash table happens to lie, and no two trainings would agree."""
    count: Counter[str] = Counter()
    for text in texts:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
            count.update(word)
    common = sorted(count, key=lambda letter: (-count[letter], letter))[:LETTERS]
    return [f"##{letter}" for letter in sorted(common)]


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / "tokenizer_config.json"
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
    except ValueError as error:
        raise UserError(f"{file} cannot be read: {error}") from None
