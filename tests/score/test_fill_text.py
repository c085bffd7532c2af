"""Filling in words: the ids are those that the tokenizer gives the whole text, the answers those of the model on them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import maskedmod
from maskedmod.api.loaded import Loaded
from maskedmod.core.apply import Seen
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.errors import UserError
from maskedmod.score import fill
from maskedmod.sequences.packing import positions
from maskedmod.sequences.subword import train_subword

LINES = [
    f"The {a} of the {b} is {c}, and the {b} is unlikely."
    for a in ("list", "name")
    for b in ("file", "tree")
    for c in ("new", "old")
]
SMALL = ["encoder.depth=1", "encoder.width=16", "encoder.heads=2", "modality.max_length=24", "encoder.max_length=24"]


def made(recipe: str, folder: Path) -> Loaded:
    """A small model of a recipe, with a tokenizer of its kind that was trained on a few lines."""
    kind = "wordpiece" if recipe == "bert" else "byte_bpe"
    file = folder / "tokenizer.json"
    file.write_text(train_subword(LINES, kind, 400, lower=recipe == "bert").text, encoding="utf-8")  # type: ignore[arg-type]
    return maskedmod.create(recipe, f"modality.tokenizer={file}", "modality.vocab_size=400", *SMALL)


@pytest.mark.parametrize("recipe", ["bert", "roberta"])
def test_fill(recipe: str, tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    from tokenizers import AddedToken, Tokenizer

    model = made(recipe, tmp_path)
    alphabet = model.modality.letters  # type: ignore[attr-defined]
    mask = alphabet.tokens[alphabet.mask]
    whole = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    whole.add_special_tokens([AddedToken(mask, lstrip=True, special=True)])  # what Hugging Face does with RoBERTa's mask
    text = "The <mask> of the tree is un<mask>, and <mask>."
    ids = [alphabet.cls, *whole.encode(text.replace("<mask>", mask), add_special_tokens=False).ids, alphabet.eos]
    found = fill(model, text, top=7)
    assert [one.place + 1 for one in found] == [i for i, token in enumerate(ids) if token == alphabet.mask] != []
    layout = Layout(cu_seqlens=torch.tensor([0, len(ids)], dtype=torch.int32), max_seqlen=len(ids))
    with torch.no_grad():
        latent = model.model.encoder(Seen(Tokens(torch.tensor(ids), positions(layout, len(ids)), layout)))
        chances = model.model.objectives["main"].head.logits(latent.tokens).softmax(-1)  # type: ignore[operator, union-attr]
    for one in found:
        own = [float(chances[one.place + 1, alphabet.index[token]]) for token in one.tokens]
        assert one.probabilities == pytest.approx(own, abs=1e-6) and sorted(own, reverse=True) == own and len(own) == 7
        assert not set(one.tokens) & {alphabet.tokens[i] for i in alphabet.special}
    assert fill(model, text.replace("<mask>", mask), top=7) == found


def test_what_cannot_be_filled(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    model = made("bert", tmp_path)
    assert len(fill(model, f"{'the ' * 21}<mask>")) == 1
    for text, said in (("the list", "hides nothing"), (f"{'the ' * 22}<mask>", "has 25 tokens, modality.max_length is 24")):
        with pytest.raises(UserError, match=said):
            fill(model, text)
    with pytest.raises(UserError, match="has not been trained yet"):
        fill(maskedmod.create("bert", *SMALL), "the <mask>")
