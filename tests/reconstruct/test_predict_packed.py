"""Predictions at hidden places of packed sequences: those that a place gets alone, whatever else is in the batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import maskedmod
from maskedmod.api.loaded import Loaded
from maskedmod.errors import UserError

PROTEINS = ["MKTAYIAKQR", "GSHMLEKQRQISFVK", "LAG"]
SMALL = ["encoder.depth=1", "encoder.width=16", "encoder.heads=2"]


@pytest.fixture(scope="module")
def model() -> Loaded:
    return maskedmod.create("esm2", *SMALL)


def rows(model: Loaded, texts: list[str], *places: tuple[int, int]) -> Tensor:
    """bool ``[L]``, True at (sequence, residue)."""
    tokens = model.tokenize(texts)
    hidden = torch.zeros(tokens.shape, dtype=torch.bool)
    assert tokens.layout.cu_seqlens is not None
    for sequence, residue in places:
        hidden[int(tokens.layout.cu_seqlens[sequence]) + 1 + residue] = True
    return hidden


def test_places_by_hand(model: Loaded) -> None:
    places = [(0, 3), (0, 7), (2, 0)]
    hidden = rows(model, PROTEINS, *places)
    found = model.predict_masked(PROTEINS, mask=hidden)
    assert found.discrete and torch.equal(found.masked, hidden) and found.values.shape == (len(hidden), 33)
    assert torch.equal(found.target[hidden], found.tokens.values[hidden]) and (found.target[~hidden] == -1).all()
    assert found.values[hidden].isfinite().all() and found.values[~hidden].isnan().all()
    wrong = torch.nn.functional.cross_entropy(found.values[hidden], found.target[hidden], reduction="none")
    assert found.error[1].isnan() and found.error[[0, 2]].tolist() == pytest.approx([float(wrong[:2].mean()), float(wrong[2])])
    filled = model.fill("MKT<mask>YIA<mask>QR", top=20)
    alphabet = model.modality.alphabet
    assert alphabet is not None
    for one, logits in zip(filled, found.values[hidden][:2], strict=True):
        chances = logits.softmax(-1)[[alphabet.index[token] for token in one.tokens]]
        assert chances.tolist() == pytest.approx(one.probabilities, abs=1e-6)
    alone = model.predict_masked(PROTEINS[2], mask=rows(model, PROTEINS[2:], (0, 0)))
    torch.testing.assert_close(alone.values[1], found.values[hidden][2], atol=1e-5, rtol=1e-5)


def test_ends_are_never_hidden(model: Loaded) -> None:
    every = torch.ones(len(model.tokenize(PROTEINS).values), dtype=torch.bool)
    found = model.predict_masked(PROTEINS, mask=every)
    assert int(found.masked.sum()) == sum(map(len, PROTEINS)) and found.error.isfinite().all()


def test_masks_of_the_recipe(model: Loaded) -> None:
    texts = [text * 4 for text in PROTEINS]
    one, again, other = (model.predict_masked(texts, seed=seed, ratio=0.5) for seed in (1, 1, 2))
    assert torch.equal(one.masked, again.masked) and not torch.equal(one.masked, other.masked)
    assert torch.equal(one.values[one.masked], again.values[one.masked])
    assert 0.3 < one.masked.float().mean() < 0.7 and one.error.shape == (3,)
    first = model.predict_masked(texts, mask="mask.masks_per_sample=3")
    assert first.masked.shape == first.tokens.values.shape and 0 < int(first.masked.sum()) < len(first.masked) // 2


def test_molecules() -> None:
    pytest.importorskip("rdkit")
    found = maskedmod.create("molformer", *SMALL).predict_masked(["CCO", "c1ccccc1O"], seed=1, ratio=0.5)
    assert found.values.shape[0] == len("CCO") + len("c1ccccc1O") + 4 and bool(found.masked.any())


def test_what_does_not_fit(model: Loaded) -> None:
    with pytest.raises(UserError, match=r"mask has the shape \(5,\); expected \[34\], all sequences one after another"):
        model.predict_masked(PROTEINS, mask=torch.zeros(5, dtype=torch.bool))
