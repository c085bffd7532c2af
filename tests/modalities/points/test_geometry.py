"""Farthest points and nearest neighbours against loops over single points in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from maskedmod.modalities.points.geometry import farthest_points, group_points, nearest_points, take_points
from torch import Tensor

CASES = 200


def naive_farthest(cloud: np.ndarray, count: int, near_origin: float | None) -> list[int]:
    """One point after another, every distance from scratch."""
    chosen = [0]
    while len(chosen) < count:
        best, place = -1.0, 0
        for i, point in enumerate(cloud):
            if near_origin is not None and float((point**2).sum()) <= near_origin:
                continue
            distance = min(float(((point - cloud[j]) ** 2).sum()) for j in chosen)
            if distance > best:
                best, place = distance, i
        chosen.append(place)
    return chosen


def naive_nearest(query: np.ndarray, cloud: np.ndarray, count: int) -> list[int]:
    distances = [float(((query - point) ** 2).sum()) for point in cloud]
    return sorted(range(len(cloud)), key=lambda i: (distances[i], i))[:count]


def clouds() -> list[tuple[np.ndarray, int]]:
    """200 clouds on a lattice of 1/256, on which float32 is exact, with the number of centres asked of each: free ones, with
    duplicates, with fewer points than centres, on a line, and with points around the origin."""
    draw = np.random.default_rng(0)
    found = []
    for case in range(CASES):
        size, count = int(draw.integers(8, 24)), int(draw.integers(2, 10))
        cloud = draw.uniform(-1, 1, (size, 3))
        match case % 5:
            case 1:
                cloud = cloud[draw.integers(size // 3, size=size)]
            case 2:
                cloud, count = cloud[:3], 8
            case 3:
                cloud = cloud[:1] + draw.uniform(-1, 1, (size, 1)) * np.array([[0.5, 0.25, -0.5]])
            case 4:
                cloud[draw.integers(1, size, size // 2)] *= 0.01
        found.append((np.round(cloud * 256) / 256, count))
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("near_origin", [None, 1e-3])
def test_equal_to_loops_over_points(dtype: torch.dtype, near_origin: float | None) -> None:
    for cloud, count in clouds():
        points = torch.from_numpy(cloud)[None].to(dtype)
        found = farthest_points(points, count, near_origin=near_origin)[0]
        assert found.tolist() == naive_farthest(cloud, count, near_origin)
        neighbours = min(6, len(cloud))
        near = nearest_points(take_points(points, found[None]), points, neighbours)[0]
        for row, centre in zip(near.tolist(), found.tolist(), strict=True):
            assert row == naive_nearest(cloud[centre], cloud, neighbours)


def test_free_coordinates_in_float64() -> None:
    """No lattice: rounding of float64 is the same in both, as both add x, y, z in this order."""
    draw = np.random.default_rng(1)
    batch = draw.standard_normal((8, 40, 3))
    points = torch.from_numpy(batch)
    found = farthest_points(points, 12)
    assert found.tolist() == [naive_farthest(cloud, 12, None) for cloud in batch]
    near = nearest_points(take_points(points, found), points, 9)
    assert near[3, 5].tolist() == naive_nearest(batch[3][found[3, 5]], batch[3], 9)


def test_each_centre_is_farther_than_the_next() -> None:
    points = torch.randn(4, 300, 3, generator=torch.Generator().manual_seed(0))
    centres = take_points(points, farthest_points(points, 40))
    gaps = [
        (centres[:, i, None] - centres[:, :i]).norm(dim=-1).amin(1) for i in range(1, 40)
    ]  # distance of every centre to those before it
    assert all((a >= b - 1e-6).all() for a, b in pairwise(gaps))


def test_many_queries_are_looked_up_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    points = torch.randn(2, 64, 3, generator=torch.Generator().manual_seed(0))
    whole = nearest_points(points, points, 5)
    monkeypatch.setattr("maskedmod.modalities.points.geometry.ELEMENTS", 1000)
    assert torch.equal(nearest_points(points, points, 5), whole)
    assert torch.equal(whole[..., 0], torch.arange(64).expand(2, -1))


def test_groups_are_centred_and_hold_their_centre() -> None:
    points = torch.randn(3, 100, 3, generator=torch.Generator().manual_seed(0))
    groups = group_points(points, 10, 7)
    assert torch.equal(groups.index[..., 0], groups.centre_index)
    assert not groups.local[:, :, 0].any()
    assert torch.allclose(groups.local + groups.centres[:, :, None], take_points(points, groups.index))


def test_all_points_near_the_origin_repeat_the_first() -> None:
    assert farthest_points(torch.rand(1, 9, 3) * 1e-3, 4, near_origin=1e-3).tolist() == [[0, 0, 0, 0]]


def test_what_cannot_be_asked() -> None:
    points: Tensor = torch.zeros(1, 4, 3)
    with pytest.raises(ValueError, match="a cloud of 0 points"):
        farthest_points(torch.zeros(1, 0, 3), 2)
    with pytest.raises(ValueError, match="5 neighbours asked of a cloud of 4 points"):
        nearest_points(points, points, 5)
