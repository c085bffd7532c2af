"""The points adapter: normalisation, groups, pictures, demo sample, augmentation, features by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from maskedmod.modalities.points.adapter import Points, normalised
from maskedmod.modalities.points.augment.scale_shift import ScaleShift
from maskedmod.modalities.points.demo import KINDS, demo_shapes
from maskedmod.modalities.points.pointnet import MiniPointNet
from maskedmod.modalities.points.raw import hand_features
from torch import Tensor

from maskedmod.core.context import Context
from maskedmod.core.modality import Record
from maskedmod.core.tokens import Tokens
from maskedmod.errors import UserError
from maskedmod.testing import check_modality

SMALL = {"points": 256, "groups": 16, "group_size": 12}


def prepared(modality: Points, count: int = 4) -> dict[str, Tensor]:
    records = [modality.demo("train")[i] for i in range(count)]
    return modality.prepare(modality.collate([modality.read(record) for record in records]), Context(training=False))


def test_contract_on_files(tmp_path: Path) -> None:
    """Also with clouds that have fewer points than asked for, and with a mesh."""
    draw = np.random.default_rng(0)
    np.save(tmp_path / "few.npy", draw.standard_normal((40, 3)) * 5 + 100)
    (tmp_path / "mesh.off").write_text("OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 1\n3 0 1 2\n3 0 2 3\n")
    records = [Record(tmp_path / name, name) for name in ("few.npy", "mesh.off")]
    check_modality(Points(**SMALL), records)


def test_normalisation() -> None:
    cloud = torch.randn(3, 50, 3, generator=torch.Generator().manual_seed(0)) * 7 + 20
    sphere = normalised(cloud)
    assert torch.allclose(sphere.mean(1), torch.zeros(3, 3), atol=1e-6)
    assert torch.allclose(sphere.norm(dim=-1).amax(1), torch.ones(3))
    box = normalised(cloud, "box", "none")
    assert torch.allclose(box.amin(1), -box.amax(1), atol=1e-5)
    assert torch.equal(normalised(cloud, "none", "none"), cloud)


def test_untokenize_knows_which_points_are_in_no_group() -> None:
    modality = Points(points=256, groups=4, group_size=8)
    batch = prepared(modality)
    tokens = modality.tokenize(batch)["main"]
    back = modality.untokenize(tokens.values, tokens)
    known = torch.isfinite(back).all(-1)
    assert 8 <= int(known[0].sum()) <= 32
    assert torch.allclose(back[known], batch["points"][known], atol=1e-6)


def test_sizes_that_contradict_one_another() -> None:
    with pytest.raises(UserError, match="points=16, groups=4, group_size=32"):
        Points(points=16, groups=4)


def test_pictures_show_hidden_groups_as_rings() -> None:
    modality = Points(**SMALL)
    tokens: Tokens = modality.tokenize(prepared(modality))["main"]
    plain = modality.draw(tokens.values, tokens)[0].image
    flattened = modality.draw(tokens.values.flatten(2), tokens)[0].image
    hidden = torch.zeros(4, 16, dtype=torch.bool)
    hidden[:, :8] = True
    half = modality.draw(tokens.values, tokens, hidden)[0].image
    assert np.array_equal(plain, flattened) and plain.shape == half.shape == (176, 540, 3)
    dark = [(image.sum(-1) < 450).sum() for image in (half, plain)]
    assert 0.25 * dark[1] < dark[0] < 0.85 * dark[1]
    nothing = modality.draw(torch.full_like(tokens.values, torch.nan), tokens)[0].image
    assert (nothing.sum(-1) < 450).sum() == 0


def test_demo_kinds_and_their_features() -> None:
    """Kinds differ: the nearest training cloud by features made by hand is of the same kind far above chance (10 %)."""
    assert len(KINDS) == 10
    modality = Points(**SMALL)
    features = {}
    for split, count in (("train", 200), ("val", 60)):
        samples = modality.collate([modality.read(demo_shapes(split)[i]) for i in range(count)])
        features[split] = hand_features(modality.prepare(samples, Context(training=False))["points"])
        assert features[split].shape == (count, 89) and torch.isfinite(features[split]).all()
    scale = features["train"].std(0) + 1e-6
    nearest = torch.cdist(features["val"] / scale, features["train"] / scale).argmin(1)
    right = (nearest % 10 == torch.arange(60) % 10).float().mean()
    assert right > 0.6


def test_scale_shift_stays_in_its_range_and_differs_by_cloud() -> None:
    points = normalised(torch.randn(64, 30, 3, generator=torch.Generator().manual_seed(0)))
    ctx = Context(generator=torch.Generator().manual_seed(1))
    moved = ScaleShift(0.5, 2.0, 0.1)({"points": points}, ctx)["points"]
    scale = (moved[:, 1] - moved[:, 0]) / (points[:, 1] - points[:, 0])
    assert scale.min() >= 0.499 and scale.max() <= 2.001 and scale.std() > 0.3
    shift = moved[:, 0] - points[:, 0] * scale
    assert shift.abs().max() <= 0.101 and shift.std() > 0.03
    turned = ScaleShift(1.0, 1.0, 0.0, rotate=True)({"points": points}, ctx)["points"]
    assert torch.allclose(turned.norm(dim=-1), points.norm(dim=-1), atol=1e-5)
    assert torch.equal(turned[..., 2], points[..., 2]) and not torch.allclose(turned, points, atol=0.1)
    with pytest.raises(ValueError, match="low=2.0, high=1.0"):
        ScaleShift(2.0, 1.0)


def test_pointnet_is_the_plain_formula() -> None:
    """conv3 of (maximum, point) side by side; no order of points; gradients reach every weight."""
    torch.manual_seed(0)
    net = MiniPointNet(24, first=8, middle=16, last=32).eval()
    groups = torch.randn(5, 7, 9, 3)
    x = net.conv2(torch.relu(net.norm1(net.conv1(groups).flatten(0, 2)))).unflatten(0, (5, 7, 9))
    both = torch.cat([x.amax(2, keepdim=True).expand_as(x), x], dim=-1)
    plain = net.conv4(torch.relu(net.norm2(net.conv3(both).flatten(0, 2)))).unflatten(0, (5, 7, 9)).amax(2)
    assert torch.allclose(net(groups), plain, atol=1e-6)
    assert torch.allclose(net(groups), net(groups[:, :, torch.randperm(9)]), atol=1e-6)
