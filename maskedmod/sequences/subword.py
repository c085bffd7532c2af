"""Trained tokenizers (WordPiece, BPE) of the ``tokenizers`` library: read, trained, kept as text that a run can store."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from maskedmod.core.alphabet import Alphabet
from maskedmod.errors import UserError, one_line
from maskedmod.sequences import vocabulary
from maskedmod.sequences.vocabulary import Special
from maskedmod.support.compat import require

Kind = Literal["wordpiece", "byte_bpe", "bpe"]
KINDS = get_args(Kind)

BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = 1000
"""Most letters that a WordPiece alphabet has; words with others are unknown."""
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


class Subword:
    """A tokenizer from the JSON text of the ``tokenizers`` library. ``vocab``: number of ids that the alphabet is filled up to
    with unused tokens, as BERT's vocabulary has them. ``special``: see ``vocabulary.roles``. UserError for text that is no
    tokenizer, for one without a mask token, and for one with more tokens than ``vocab``."""

    def __init__(self, text: str, vocab: int | None = None, origin: str = "tokenizer", special: Special | None = None) -> None:
        library = require("tokenizers", "text")
        self.text, self.vocab, self.origin, self.special = text, vocab, origin, special
        try:
            self.tokenizer: Any = library.Tokenizer.from_str(text)
        except Exception as error:
            raise UserError(f"{origin} is no tokenizer of the tokenizers library: {one_line(str(error))}") from None
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def __getstate__(self) -> dict[str, Any]:
        return {"text": self.text, "vocab": self.vocab, "origin": self.origin, "special": self.special}

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
        found = vocabulary.roles(tokens, self.special)
        if found["mask"] is None:
            raise UserError(f"{self.origin} has no mask token; expected one called [MASK] or <mask>, or special={{mask: TOKEN}}")
        also = {name for i, name in enumerate(tokens) if i not in names}
        added = self.tokenizer.get_added_tokens_decoder().values()
        also |= {token.content for token in added if token.special} - {found["unk"], *filter(None, found.values())}
        return Alphabet.named(tokens, **found, also_special=sorted(also))  # type: ignore[arg-type]

    def unknown(self, ids: list[int]) -> tuple[int, int]:
        """How many of framed ids are unknown, and how many there are between the ends."""
        a = self.alphabet
        inner = ids[a.cls is not None : len(ids) - (a.eos is not None)]
        return (0 if a.unk is None else inner.count(a.unk)), len(inner)

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


def read_subword(path: str | Path, vocab: int | None = None, special: Special | None = None) -> Subword:
    """From a ``tokenizer.json``, or a folder of Hugging Face with that file, with ``vocab.txt`` (WordPiece) or with
    ``vocab.json`` and ``merges.txt`` (byte-level BPE); or from a mere vocabulary (``vocab.txt``, ``dict.txt``, ``vocab.json``),
    whose tokens are word pieces, words between blanks (fairseq), or letters. UserError when there is none of them."""
    path = Path(path)
    file = vocabulary.find(path) if path.is_dir() and not (path / "tokenizer.json").is_file() else path
    if path.is_dir() and (path / "tokenizer.json").is_file():
        file = path / "tokenizer.json"
    if file is None or not file.is_file() or (path.is_dir() and file.parent != path):
        raise UserError(
            f"tokenizer {path}: expected a tokenizer.json, or a folder with it, vocab.txt, or vocab.json and merges.txt"
        )
    library = require("tokenizers", "text")
    if file.name == "vocab.json" and vocabulary.trained(file):
        found = library.ByteLevelBPETokenizer(str(file), str(file.parent / "merges.txt"))
        return Subword(found.to_str(), vocab, str(path), special)
    if file.suffix == ".txt":
        return _listed(file, vocab, special)
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{file} is no tokenizer of the tokenizers library: not UTF-8") from None
    return _listed(file, vocab, special) if file.name == "vocab.json" else Subword(text, vocab, str(file), special)


def _listed(file: Path, vocab: int | None, special: Special | None) -> Subword:
    """The tokenizer of a list of tokens: WordPiece as BERT's, unless they are letters, nucleotides, or fairseq's words."""
    tokens = vocabulary.read_tokens(file)
    kind = vocabulary.kind_of(tokens, special)
    if kind in ("words", "molecule", "selfies") and not vocabulary.of_fairseq(file):
        library = require("tokenizers", "text")
        lower = bool(_settings(file.parent).get("do_lower_case", True))
        table = {token: i for i, token in enumerate(tokens)}
        unk = vocabulary.roles(tokens, special)["unk"] or "[UNK]"
        cls, sep = (vocabulary.roles(tokens, special)[role] or name for role, name in (("start", "[CLS]"), ("end", "[SEP]")))
        found = library.BertWordPieceTokenizer(table, unk_token=unk, cls_token=cls, sep_token=sep, lowercase=lower)
        return Subword(found.to_str(), vocab, str(file), special)
    return Subword(level(tokens, special), vocab, str(file), special)


def level(tokens: list[str], special: Special | None = None) -> str:
    """A tokenizer, as JSON text, that knows a list of tokens: cut at every letter where all are letters, from left to right
    into the longest that fit where they are of several lengths and never words, else at blanks."""
    require("tokenizers", "text")
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    named = {token for token in vocabulary.roles(tokens, special).values() if token is not None}
    content = [token for token in tokens if token not in named and not token.startswith(("<", "["))]
    lengths, letters = {len(token) for token in content}, {letter for token in content for letter in token}
    unk = vocabulary.roles(tokens, special)["unk"]
    table = {token: i for i, token in enumerate(tokens)}
    made = Tokenizer(models.WordLevel(table, unk_token=unk or tokens[0]))
    if unk is None:
        made = Tokenizer(models.WordLevel(table))
    pieces = vocabulary.kind_of(tokens, special) in ("nucleotides", "residues") and 1 in lengths
    if pieces:
        longest = "|".join(re.escape(token) for token in sorted(content, key=len, reverse=True)) if lengths != {1} else "."
        parts = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(f"{longest}|."), "isolated")]
        made.pre_tokenizer, made.decoder = pre_tokenizers.Sequence(parts), decoders.Fuse()
        if all(not letter.isalpha() or letter.isupper() for letter in letters):
            made.normalizer = _upper(letters)
    else:
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in sorted(named)])
    return str(made.to_str())


def _upper(letters: set[str]) -> Any:
    """Lower case read as upper case; the library has no such normaliser but one letter at a time."""
    from tokenizers import normalizers

    return normalizers.Sequence([normalizers.Replace(letter.lower(), letter) for letter in sorted(letters) if letter.isalpha()])


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
