"""The text adapter: trained tokenizers are the same each time and kept with a run; cuts; bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from maskedmod.modalities.text import Text

from maskedmod.core.modality import BadSample, Record, changes
from maskedmod.errors import UserError
from maskedmod.sequences.subword import read_subword, train_subword
from maskedmod.testing import check_modality

LINES = [record.data for record in Text().demo("train")[:400]]


def ready(**settings: object) -> Text:
    modality = Text(**{"vocab_size": 1200, **settings})  # type: ignore[arg-type]
    modality.statistics.update(modality.measure([(line, None) for line in LINES]))
    return modality


@pytest.mark.parametrize("kind", ["wordpiece", "byte_bpe", "bpe"])
def test_training_a_tokenizer_repeats(kind: str) -> None:
    first, second = (train_subword(LINES, kind, 1000, lower=True) for _ in range(2))  # type: ignore[arg-type]
    assert json.loads(first.text) == json.loads(second.text)
    assert len(first.alphabet) <= 1000 and first.alphabet.mask == 4


@pytest.mark.parametrize("settings", [{}, {"tokenizer": "byte_bpe", "lower": False, "max_length": 16}])
def test_contract(settings: dict[str, object]) -> None:
    check_modality(ready(**settings))


def test_bytes_come_back_exactly() -> None:
    modality = ready(tokenizer="byte_bpe", lower=False)
    for text in (LINES[0], "Zürich 上海 \t x", "def f(x):\n    return x"):
        assert modality.decode(modality.subword.ids(text)) == text


def test_the_size_is_known_before_training() -> None:
    before, after = Text(vocab_size=1500), ready(vocab_size=1500)
    assert before.spec == after.spec and before.embedding(8).mask == after.letters.mask
    assert len(after.letters) == 1500
    used = sum(not token.startswith("<unused") for token in after.letters.tokens)
    assert used <= 1500 and all(i < used for i in after.letters.standard)
    with pytest.raises(UserError, match="has not been trained yet"):
        before.collate([("some words", None)])


def test_tokenizers_of_others(tmp_path: Path) -> None:
    (tmp_path / "bert").mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "word", "##s", "two"]
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join(words))
    found = read_subword(tmp_path / "bert")
    assert found.ids("Two words zzz") == [2, 8, 6, 7, 1, 3]
    (tmp_path / "tokenizer.json").write_text(found.text)
    assert read_subword(tmp_path).ids("a word") == [2, 5, 6, 3]
    with pytest.raises(UserError, match="has 9 tokens, the recipe's vocab_size is 5"):
        _ = read_subword(tmp_path, 5).alphabet
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="is no tokenizer"):
        read_subword(tmp_path)


def test_long_texts() -> None:
    modality, text = ready(max_length=12), " ".join(LINES[:5])
    whole = ready().subword.ids(text)
    with changes() as heard:
        sample = modality.read(Record(text, "x"))
    assert heard == [f"text of {len(whole)} tokens cut to its first 12"]
    assert modality.collate([sample])["ids"].tolist() == [*whole[:11], whole[-1]]
    parts = [modality.collate([modality.read(Record(text, "x", extra={"seed": s}))])["ids"].tolist() for s in (1, 1, 2)]
    assert parts[0] == parts[1] != parts[2]
    inner = parts[2][1:-1]
    assert any(whole[i : i + 10] == inner for i in range(len(whole)))


def test_bad_texts() -> None:
    for data, said in (("  ", "is empty"), (b"\xff\xfe", "not UTF-8"), (3, "expected text")):
        with pytest.raises(BadSample, match=said):
            ready().read(Record(data, "x"))


def test_demo() -> None:
    train, val = Text().demo("train"), Text().demo("val")
    assert len(train) > 1000 and len(val) > 80 and not {r.data for r in train} & {r.data for r in val}
    assert np.mean([len(r.data) for r in train]) > 60
