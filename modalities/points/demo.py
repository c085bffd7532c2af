"""The built-in sample: surfaces of ten kinds of bodies, made when they are read, the same on every machine.

Bodies stand on a ground, are stretched, turned about the vertical and a little noisy; most kinds come in many proportions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from maskedmod.core.modality import Record

from .formats import Array

SIZES = {"train": 512, "val": 128}
POINTS = 2048
Draw = np.random.Generator


def demo_shapes(split: str) -> list[Record]:
    """``train`` 512 clouds, ``val`` 128 others; labels are the names of ``KINDS``, evenly spread. ValueError for other splits."""
    if split not in SIZES:
        raise ValueError(f"split is {split!r}; expected train or val")
    kinds = [list(KINDS)[i % len(KINDS)] for i in range(SIZES[split])]
    part = list(SIZES).index(split)
    return [Record(Body(kind, (part, i)), f"demo {split} {i} ({kind})", kind) for i, kind in enumerate(kinds)]


@dataclass(frozen=True)
class Body:
    """A cloud that is made when somebody asks for its points: ``numpy.asarray(body)`` is float32 ``[2048, 3]``."""

    kind: str
    seed: tuple[int, int]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return _kept(self).astype(dtype or np.float32, copy=False)


@lru_cache(maxsize=1024)
def _kept(body: Body) -> Array:
    return cloud(body.kind, np.random.default_rng(body.seed))


def cloud(kind: str, draw: Draw) -> Array:
    """Points of one body: float32 ``[2048, 3]``, the last axis upward."""
    points = KINDS[kind](draw) * draw.uniform(0.8, 1.25, 3)
    angle = draw.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return (points @ turn.T + 0.008 * draw.standard_normal(points.shape)).astype(np.float32)


def _circle(draw: Draw, count: int = POINTS) -> tuple[Array, Array]:
    angle = draw.uniform(0, 2 * np.pi, count)
    return np.cos(angle), np.sin(angle)


def _sphere(draw: Draw, count: int = POINTS) -> Array:
    points = draw.standard_normal((count, 3))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))


def _box(draw: Draw, size: Sequence[float] | Array, count: int = POINTS, at: Sequence[float] = (0, 0, 0)) -> Array:
    """Faces of a box by their areas."""
    a = np.asarray(size, float)
    areas = np.array([a[1] * a[2], a[0] * a[2], a[0] * a[1]])
    axis = draw.choice(3, count, p=areas / areas.sum())
    points = draw.uniform(-0.5, 0.5, (count, 3))
    points[np.arange(count), axis] = draw.choice([-0.5, 0.5], count)
    return np.asarray(points * a + np.asarray(at))


def _cube(draw: Draw) -> Array:
    return _box(draw, draw.uniform(0.9, 1.3, 3))


def _torus(draw: Draw) -> Array:
    thin, (u, v), (c, s) = draw.uniform(0.18, 0.4), _circle(draw), _circle(draw)
    return np.stack([(1 + thin * c) * u, (1 + thin * c) * v, thin * s], axis=1)


def _cone(draw: Draw) -> Array:
    height, (u, v), r = draw.uniform(1.2, 2.4), _circle(draw), np.sqrt(draw.uniform(0, 1, POINTS))
    base = draw.uniform(0, 1, POINTS) < 0.3
    return np.stack([r * u, r * v, np.where(base, 0.0, height * (1 - r))], axis=1)


def _cylinder(draw: Draw) -> Array:
    height, (u, v) = draw.uniform(1.0, 2.6), _circle(draw)
    cap = draw.uniform(0, 1, POINTS) < 1 / (1 + height)
    r = np.where(cap, np.sqrt(draw.uniform(0, 1, POINTS)), 1.0)
    z = np.where(cap, draw.choice([0.0, 1.0], POINTS), draw.uniform(0, 1, POINTS)) * height
    return np.stack([r * u, r * v, z], axis=1)


def _helix(draw: Draw) -> Array:
    turns, thick, t = draw.uniform(2.0, 4.0), draw.uniform(0.08, 0.16), draw.uniform(0, 1, POINTS)
    angle = 2 * np.pi * turns * t
    wire = np.stack([np.cos(angle), np.sin(angle), draw.uniform(1.6, 2.6) * t], axis=1)
    return np.asarray(wire + thick * _sphere(draw))


def _plane(draw: Draw) -> Array:
    """A sheet with waves."""
    x, y = draw.uniform(-1, 1, (2, POINTS))
    waves = draw.uniform(0.05, 0.2) * np.sin(draw.uniform(2, 5) * x + draw.uniform(0, 6))
    return np.stack([x, y, waves], axis=1)


def _table(draw: Draw) -> Array:
    wide, deep, high = draw.uniform(1.2, 2.0), draw.uniform(0.8, 1.2), draw.uniform(0.7, 1.3)
    legs = [
        _box(draw, (0.1, 0.1, high), 256, (x * (wide / 2 - 0.08), y * (deep / 2 - 0.08), high / 2))
        for x in (-1, 1)
        for y in (-1, 1)
    ]
    return np.concatenate([_box(draw, (wide, deep, 0.08), POINTS - 1024, (0, 0, high)), *legs])


def _lamp(draw: Draw) -> Array:
    """A foot, a pole and a shade."""
    high, (u, v), (a, b) = draw.uniform(1.6, 2.4), _circle(draw, 1024), _circle(draw, 512)
    z, r = draw.uniform(0, 0.5, 1024), np.sqrt(draw.uniform(0, 1, 512))
    wide = draw.uniform(0.5, 0.7) - draw.uniform(0.3, 0.7) * z
    shade, foot = np.stack([wide * u, wide * v, high - 0.25 + z], axis=1), np.stack([0.5 * r * a, 0.5 * r * b, 0 * r], axis=1)
    return np.concatenate([shade, foot, _box(draw, (0.08, 0.08, high), 512, (0, 0, high / 2))])


def _stairs(draw: Draw) -> Array:
    steps, wide = int(draw.integers(4, 8)), draw.uniform(0.7, 1.2)
    step = draw.integers(steps, size=POINTS)
    rise = draw.uniform(0, 1, POINTS) < 0.4
    deep, high = draw.uniform(0, 1, (2, POINTS))
    x, z = (step + np.where(rise, 0, deep)) / steps, (step + np.where(rise, high, 1)) / steps
    return np.stack([1.6 * x, wide * draw.uniform(-0.5, 0.5, POINTS), 1.3 * z], axis=1)


KINDS: dict[str, Callable[[Draw], Array]] = {
    "sphere": _sphere,
    "cube": _cube,
    "torus": _torus,
    "cone": _cone,
    "cylinder": _cylinder,
    "helix": _helix,
    "plane": _plane,
    "table": _table,
    "lamp": _lamp,
    "stairs": _stairs,
}
