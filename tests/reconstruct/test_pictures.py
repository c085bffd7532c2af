"""Reconstructions: values, errors and pictures of hand-checkable models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from maskedmod.core.blocks.head import Head
from maskedmod.core.blocks.mask import Mask
from maskedmod.core.blocks.target import Target
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet, Where
from maskedmod.core.masking import from_lists
from maskedmod.core.modality import Modality, Record
from maskedmod.core.model import Blocks, MaskedModel, Objective
from maskedmod.core.step import Step, View
from maskedmod.core.tokens import Tokens, take
from maskedmod.encoders.transformer import Transformer
from maskedmod.heads.mae_decoder import MaeDecoder
from maskedmod.losses.regression import Regression
from maskedmod.masks.random import Random
from maskedmod.reconstruct.dense import reconstruct
from maskedmod.reconstruct.drawing import token_map
from maskedmod.reconstruct.grid import caption, save_grid, stages
from maskedmod.targets.raw import Raw
from tests.conftest import ROOT


class Oracle(Head):
    """Predicts the true values, plus ``off``."""

    def __init__(self, off: float = 0.0) -> None:
        super().__init__()
        self.off = off

    def forward(self, view: View, where: Where) -> Tensor:
        assert where.index is not None
        return take(view.rows.values, where.index) + self.off


class Doubled(Target):
    """A target that cannot be drawn."""

    width = 8

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        assert where.index is not None
        return take(step.views[view].tokens.values, where.index) * 2


class TwoBlocks(Mask):
    """Tokens 0 and 1, and tokens 1 and 2, are predicted from 5, 6 and 7."""

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        m = rows.shape[0]
        keep = torch.tensor([5, 6, 7]).expand(m, 3)
        targets = torch.tensor([[0, 1], [1, 2]]).expand(m, 2, 2)
        return from_lists(rows.shape[1], keep, targets)


@pytest.fixture
def series(monkeypatch: pytest.MonkeyPatch) -> Modality:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "thirdparty"))
    from maskedmod_series import Series

    return Series(length=64, patch_size=8)  # type: ignore[no-any-return]


def make(modality: Modality, target: Target | None = None, head: Head | None = None, mask: Mask | None = None) -> MaskedModel:
    spec = replace(modality.spec, width=16)
    encoder = Transformer(spec, modality.embedding, depth=1, width=16, heads=2)
    target = target or Raw(spec)
    spec = replace(spec, target=target.width)
    head = head or MaeDecoder(spec, depth=1, width=16, heads=2)
    objective = Objective(target, head, Regression(spec))
    return MaskedModel(Blocks(modality, mask or Random(spec, ratio=0.5), encoder, {"main": objective}))


def batch(modality: Modality, count: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    lengths = [64, 48, 64][:count]
    return modality.collate([modality.read(Record(rng.normal(size=n), str(n))) for n in lengths])


def test_perfect_prediction_gives_back_the_signal(series: Modality) -> None:
    recon = reconstruct(make(series, head=Oracle()), batch(series), Context())
    assert recon.predicted is not None and recon.filled is not None
    torch.testing.assert_close(recon.predicted, recon.tokens.values)
    assert recon.error.tolist() == [0.0, 0.0, 0.0] and recon.error_all == 0.0
    assert recon.mean_error is not None and (recon.mean_error > 0).all()


def test_errors_are_over_predicted_valid_places(series: Modality) -> None:
    recon = reconstruct(make(series, head=Oracle(off=0.5)), batch(series), Context())
    torch.testing.assert_close(recon.error, torch.full((3,), 0.25))
    valid = recon.tokens.layout.valid
    assert valid is not None
    predicted = recon.blocks.any(1)
    assert predicted.sum(1).tolist() == [4, 3, 4] and not (predicted & ~valid).any()
    assert torch.equal(recon.token_error.isnan(), ~predicted)
    assert recon.predicted is not None
    difference = (recon.predicted - recon.tokens.values).abs().amax(-1)
    torch.testing.assert_close(difference, predicted.float() * 0.5)


def test_mean_fill_with_and_without_a_baseline(series: Modality) -> None:
    model, data = make(series, head=Oracle()), batch(series)
    table = torch.arange(64.0).reshape(8, 8)
    with_table = reconstruct(model, data, Context(), {"main": table})
    place = with_table.blocks.any(1)
    assert with_table.filled is not None and with_table.mean_error is not None
    torch.testing.assert_close(with_table.filled[place], table.expand(3, 8, 8)[place])
    wrong = (table - with_table.tokens.values).pow(2).mean(-1)
    torch.testing.assert_close(with_table.mean_error, (wrong * place).sum(1) / place.sum(1))
    own = reconstruct(model, data, Context())
    seen = ~own.hidden & own.tokens.layout.valid
    assert own.filled is not None
    for b in range(3):
        torch.testing.assert_close(own.filled[b, place[b]][0], own.tokens.values[b, seen[b]].mean(0))


def test_patch_normalised_target_is_drawn_with_true_moments(series: Modality) -> None:
    class Normalised(Oracle):
        def forward(self, view: View, where: Where) -> Tensor:
            x = super().forward(view, where)
            return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-6).sqrt()

    recon = reconstruct(make(series, Raw(series.spec, norm="patch"), Normalised()), batch(series), Context())
    assert recon.predicted is not None
    torch.testing.assert_close(recon.predicted, recon.tokens.values, atol=1e-5, rtol=1e-4)
    assert "true mean and deviation" in caption(recon)


def test_same_mask_at_every_moment_and_nothing_is_disturbed(series: Modality) -> None:
    model, data = make(series), batch(series)
    model.train()
    before = torch.get_rng_state()
    first = reconstruct(model, data, Context(step=3, max_steps=100, seed=1))
    assert model.training and torch.equal(before, torch.get_rng_state())
    torch.randn(7)
    second = reconstruct(model, data, Context(step=90, max_steps=100, seed=1))
    other = reconstruct(model, data, Context(step=3, max_steps=100, seed=2))
    assert torch.equal(first.hidden, second.hidden) and torch.equal(first.error, second.error)
    assert not torch.equal(first.hidden, other.hidden)


def test_first_of_several_masks(series: Modality) -> None:
    recon = reconstruct(make(series, mask=Random(series.spec, ratio=0.5, masks_per_sample=3)), batch(series), Context())
    assert recon.predicted is not None
    assert recon.hidden.shape == (3, 8) and recon.predicted.shape == recon.tokens.values.shape and recon.error.shape == (3,)


def test_grid_of_a_drawable_target(series: Modality, tmp_path: Path) -> None:
    from PIL import Image

    recon = reconstruct(make(series), batch(series), Context())
    files = save_grid(recon, tmp_path / "deep" / "a.png", max_samples=2, titles=["one.csv", "two.csv"], headline="toy")
    assert files == [tmp_path / "deep" / "a.png"] and not list(tmp_path.rglob(".*"))
    rows = stages(recon)
    assert [row.name for row in rows] == ["original", "masked", "mean-fill", "reconstruction"]
    assert "%" in rows[-1].notes[0] and rows[0].notes == []
    with Image.open(files[0]) as picture:
        assert picture.width > 400 and picture.height > 200


def test_target_that_cannot_be_drawn_shows_errors_and_blocks(series: Modality) -> None:
    recon = reconstruct(make(series, Doubled(), Oracle(), TwoBlocks()), batch(series, 1), Context())
    assert recon.predicted is None
    assert recon.blocks[0].nonzero().tolist() == [[0, 0], [0, 1], [1, 1], [1, 2]]
    rows = stages(recon)
    assert [row.name for row in rows] == ["original", "context", "target blocks", "error"]
    assert "error per token" in caption(recon) and "one set of targets" in caption(recon)


def test_tokens_are_found_in_the_picture(series: Modality) -> None:
    tokens = series.tokenize(series.prepare(batch(series, 2), Context(training=False)))["main"]

    def draw(hidden: Any) -> list[Any]:
        return [panel.image for panel in series.draw(tokens.values, tokens, torch.from_numpy(hidden))]

    for found in token_map(draw, (2, 8)):
        expected = np.repeat(np.arange(8), found.shape[1] // 8)
        assert (found == expected).mean() > 0.97  # the plotted line keeps its colour in no place, but meets its neighbours


def test_pooled_predictions_have_no_picture(series: Modality) -> None:
    model = make(series)
    model.objectives["main"].region = "pooled"
    with pytest.raises(ValueError, match="nothing else can be drawn"):
        reconstruct(model, batch(series), Context())
