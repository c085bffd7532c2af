"""Points at several scales: levels, pictures of what was predicted, features, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from maskedmod.modalities.points import Points

import maskedmod
from maskedmod.core.context import Context
from maskedmod.core.model import MaskedModel
from maskedmod.core.pyramid import Pyramid
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.reconstruct.dense import reconstruct

TINY = [
    "recipe=point_m2ae", "preset=demo", "modality.points=128", "modality.groups=32", "modality.coarser=[[16,4],[8,4]]",
    "encoder.widths=[12,24,48]", "encoder.depths=[1,1,1]", "head.outputs=24",
]  # fmt: skip


def model() -> MaskedModel:
    torch.manual_seed(0)
    return build_model(resolve(TINY))


def batch(points: Points, count: int = 3) -> dict[str, torch.Tensor]:
    records = points.demo("val")
    return points.collate([points.read(records[i]) for i in range(count)])


def test_every_level_groups_the_centres_of_the_one_below() -> None:
    points = Points(points=128, groups=32, group_size=8, coarser=((16, 4), (8, 4)), level=1)
    tokens = points.tokenize(points.prepare(batch(points), Context(training=False)))["main"]
    assert isinstance(tokens, Pyramid) and tokens.shape == (3, 16) and points.spec.values == 4 * 3
    for below, level in zip(tokens.levels, tokens.levels[1:], strict=False):
        for row in range(3):
            around = below.pos[row][level.members[row]] - level.pos[row][:, None]
            assert torch.equal(around, level.values[row])
    assert torch.equal(tokens.values, tokens.levels[1].values)
    back = points.untokenize(tokens.values, tokens)
    held = ~back.isnan().any(-1)
    assert back.shape == (3, 32, 3) and held.float().mean() > 0.5
    torch.testing.assert_close(back[held], tokens.levels[0].pos[held])


def test_predicted_groups_are_drawn_though_they_have_more_points() -> None:
    made = model()
    points = made.modality
    assert isinstance(points, Points)
    found = reconstruct(made, batch(points), Context())
    assert found.predicted is not None and found.filled is not None
    assert found.predicted.shape == (3, 16, 8, 3) and found.tokens.values.shape == (3, 16, 4, 3)
    shown = ~found.hidden
    assert torch.equal(found.predicted[shown][:, :4], found.tokens.values[shown])
    assert found.error.isfinite().all() and found.token_error[shown].isnan().all()
    panels = points.draw(found.predicted, found.tokens)
    assert len(panels) == 3 and np.asarray(panels[0].image).std() > 0


def test_features_of_the_coarsest_level() -> None:
    made = maskedmod.create("point_m2ae", *TINY[2:], preset="demo")
    cloud = np.random.default_rng(0).standard_normal((128, 3)).astype(np.float32)
    mean, both, every = (made.embed(cloud, pool=pool) for pool in ("mean", "mean_max", "none"))
    assert mean.shape == both.shape == (1, 48) and every.shape == (1, 8, 48)
    torch.testing.assert_close(both, every.mean(1) + every.amax(1))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"coarser": ((64, 4),)}, "64 groups of 4 cannot be made of the 32 centres"),
        ({"coarser": ((16, 40),)}, "16 groups of 40 cannot be made of the 32 centres"),
        ({"level": 1}, "level=1: there are levels 0 to 0"),
    ],
)
def test_levels_that_cannot_be_made(words: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Points(points=128, groups=32, group_size=8, **words)  # type: ignore[arg-type]
