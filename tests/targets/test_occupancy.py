"""Telling points of a cloud from places that are none."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from maskedmod.core.context import Context
from maskedmod.core.mask_set import Where
from maskedmod.core.model import MaskedModel, Objective
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.layers.points.distances import squared_distances
from maskedmod.losses.bce import Bce
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.targets.occupancy import Occupancy

SMALL = ["recipe=mask_point", "preset=demo", "encoder.depth=1", "encoder.width=48", "modality.points=128", "modality.groups=16"]


def model(*words: str) -> MaskedModel:
    torch.manual_seed(0)
    return build_model(resolve([*SMALL, "target.real=32", "target.fake=64", "target.spacing=32", *words]))


def stepped(made: MaskedModel, seed: int = 0) -> Step:
    records = made.modality.demo("train")
    batch = made.modality.collate([made.modality.read(records[i]) for i in range(3)])
    return made.step(batch, Context(training=False, generator=torch.Generator().manual_seed(seed)))


def test_real_places_are_points_and_fake_ones_that_count_are_not() -> None:
    made = model()
    step = stepped(made)
    objective = made.objectives["main"]
    assert isinstance(objective, Objective)
    where = objective.where(step, "main")
    goal = objective.target(step, "main", where)
    assert where.at is not None and where.weight is not None and goal.shape == (3, 1, 96, 1)
    points, at = step.batch["points"], where.at[:, 0]
    nearest = squared_distances(at, points).amin(-1)
    assert (nearest[:, :32] < 1e-6).all() and goal[:, 0, :32].min() == 1 and goal[:, 0, 32:].max() == 0
    counted = where.weight[:, 0, 32:] > 0
    assert 0.05 < counted.float().mean() < 0.95 and where.weight[:, 0, :32].min() == 1
    for row in range(3):
        near, far = nearest[row, 32:][~counted[row]], nearest[row, 32:][counted[row]]
        assert len(far) and (not len(near) or near.max() < far.min())
    low, high = at[:, :32].amin(1, keepdim=True), at[:, :32].amax(1, keepdim=True)
    assert ((at >= low) & (at <= high)).all()
    again = objective.where(stepped(made), "main")
    assert again.at is not None and torch.equal(again.at, where.at)


def test_queries_are_not_aware_of_one_another() -> None:
    made = model().eval()
    step = stepped(made)
    objective, view = made.objectives["main"], step.views["main"]
    assert isinstance(objective, Objective)
    where = objective.where(step, "main")
    assert where.at is not None
    whole, some = objective.head(view, where), objective.head(view, Where(None, None, where.at[:, :, 10:20]))
    torch.testing.assert_close(whole[:, :, 10:20], some)
    assert objective.head(view, Where(None)).shape == (3, 1, 16, 1)


def test_several_masks_of_a_cloud_ask_of_their_own_cloud() -> None:
    made = model("mask.masks_per_sample=2")
    step = stepped(made)
    objective = made.objectives["main"]
    assert isinstance(objective, Objective)
    where = objective.where(step, "main")
    assert where.at is not None and len(where.at) == 6
    assert torch.equal(where.at[0, 0, :32], where.at[1, 0, :32]) and not torch.equal(where.at[0], where.at[1])


def test_focal_loss() -> None:
    x, y = torch.randn(50, 1), (torch.rand(50, 1) > 0.5).float()
    found = Bce(Spec(values=1, axes=1), gamma=2.0, alpha=0.25).per_token(x, y)
    chance = torch.where(y > 0, x.sigmoid(), 1 - x.sigmoid())
    wanted = torch.where(y > 0, 0.25, 0.75) * (1 - chance) ** 2 * -chance.log()
    torch.testing.assert_close(found, wanted[:, 0])
    plain = F.binary_cross_entropy_with_logits(x, y, reduction="none")[:, 0]
    torch.testing.assert_close(Bce(Spec(values=1, axes=1)).per_token(x, y), plain)
    half = Bce(Spec(values=1, axes=1)).of_mean(torch.tensor([0.5, 0.25]))
    torch.testing.assert_close(half.sigmoid(), torch.tensor([0.5, 0.25]))
    with pytest.raises(ValueError, match="alpha=2.0 between 0 and 1"):
        Bce(Spec(values=1, axes=1), alpha=2.0)


def test_it_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Occupancy(Spec(values=1, axes=3), spacing=1)
    made = model("objectives={main: {region: masked}}")
    with pytest.raises(ValueError, match="use region=pooled"):
        made.score(stepped(made))
    with pytest.raises(ValueError, match="encoder.positions=mlp"):
        model("encoder.positions=none", "encoder.every_block=false")
