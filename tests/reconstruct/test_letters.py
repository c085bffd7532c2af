"""Reconstructions of packed ids: letters, probabilities, errors, and what is drawn of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import maskedmod
from maskedmod.api.loaded import Loaded
from maskedmod.reconstruct.letters import RIGHT, WRONG, pieces

SMALL = ("encoder.depth=1", "encoder.width=16", "encoder.heads=2")
PROTEINS = ["MKTAYIAKQRQISFVKSHFSRQ", "EVQLVESGGG"]


@pytest.fixture(scope="module")
def model() -> Loaded:
    return maskedmod.create("esm2", *SMALL, preset="demo")


def test_letters_are_those_of_predict_masked(model: Loaded) -> None:
    found, numbers = model.reconstruct(PROTEINS, seed=3, ratio=0.4), model.predict_masked(PROTEINS, seed=3, ratio=0.4)
    assert found.discrete and torch.equal(found.blocks.cpu(), numbers.masked) and found.mean_error is None
    assert found.predicted is not None and found.sure is not None
    at = numbers.masked
    assert torch.equal(found.predicted[at].long(), numbers.values[at].argmax(-1))
    assert torch.equal(found.predicted[~at].long(), found.tokens.values[~at])
    shares = numbers.values[at].softmax(-1)
    torch.testing.assert_close(found.sure[at, 0], shares.amax(-1))
    torch.testing.assert_close(found.sure[at, 1], shares.gather(-1, numbers.target[at][:, None])[:, 0])
    torch.testing.assert_close(found.token_error[at], -found.sure[at, 1].log(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.error, numbers.error)


def test_pieces_are_the_letters_without_the_ends(model: Loaded) -> None:
    mask = torch.zeros(len("MKTAYIAKQRQISFVKSHFSRQ") + len("EVQLVESGGG") + 4, dtype=torch.bool)
    mask[[3, 30]] = True  # the third residue of the first, and of the second
    first, second = pieces(model.reconstruct(PROTEINS, mask=mask))
    assert "".join(piece.true for piece in first) == PROTEINS[0] and "".join(piece.true for piece in second) == PROTEINS[1]
    assert [i for i, piece in enumerate(first) if piece.hidden] == [2] == [i for i, p in enumerate(first) if p.said is not None]
    assert 0 < first[2].sure[1] <= first[2].sure[0] <= 1


def test_the_mean_is_that_of_the_ids(model: Loaded) -> None:
    uniform = torch.full((1, len(model.modality.alphabet or ())), 1 / len(model.modality.alphabet or ()))
    model.baseline = {"main": uniform}
    try:
        found = model.reconstruct(PROTEINS, seed=1)
    finally:
        model.baseline = None
    assert found.mean_error is not None
    torch.testing.assert_close(found.mean_error.double(), torch.full((2,), -uniform[0, 0].log().item(), dtype=torch.float64))


@pytest.mark.parametrize("recipe", ["esm2", "molformer"])
def test_it_is_drawn(recipe: str, tmp_path: Path) -> None:
    model = maskedmod.create(recipe, *SMALL, preset="demo")
    samples = list(model.modality.demo("val"))[:3]
    found = model.reconstruct(samples, seed=2, ratio=0.5)
    (file,) = found.save(tmp_path / "a.png")
    assert file.is_file() and "<img" in found._repr_html_()
    pixels = {tuple(int(x) for x in colour) for colour in np.unique(np.asarray(found.picture()).reshape(-1, 3), axis=0)}
    assert WRONG in pixels or RIGHT in pixels
