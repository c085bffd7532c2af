"""From a file, an array or a mesh to a cloud of a fixed number of points."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from maskedmod.core.modality import BadSample, Record, altered

from .formats import Array, Shape
from .formats.off import read_off
from .formats.pcd import read_pcd
from .formats.ply import read_ply
from .formats.text import read_text
from .surface import sample_surface

Centre = Literal["centroid", "box", "none"]
LEAST, MOST = 1e-15, 1e15
"""Bounds of extent and coordinates: their squares are far from the ends of float32."""
NAMES = ("points", "xyz", "pos", "coords", "coord", "vertices", "data")
"""Names under which archives and mappings hold coordinates, in this order."""
FACES = ("faces", "triangles", "face")
"""Names of the triangles of a mesh; ``face`` is ``[3, F]`` (PyTorch Geometric), the others ``[F, 3]``."""


@dataclass(frozen=True)
class Part:
    """What is wanted of a cloud: ``count`` points, coordinates from its ``centre``; at least ``least`` different ones. ``mesh``:
    points on its surface, or its vertices. ``drop_nan``: leave out points that are not finite, which else make a bad sample."""

    count: int
    least: int
    centre: Centre
    mesh: Literal["surface", "vertices"]
    drop_nan: bool


def read_cloud(record: Record, part: Part) -> Array:
    """Float32 ``[count, 3]``. Of a longer cloud a random part, of a shorter one all points and some again; drawn from
    ``extra['seed']``, without it always the same. BadSample says what is wrong."""
    draw = np.random.default_rng(record.extra.get("seed") or 0)
    shape = read_shape(record.data)
    points = _finite(shape.points, part)
    if shape.faces is not None and part.mesh == "surface":
        if len(points) != len(shape.points):
            raise BadSample("a mesh with vertices that are NaN or infinite")
        points = sample_surface(points, shape.faces, part.count, draw)
    if len(points) == 0:
        raise BadSample("holds no points")
    _check_extent(points)
    # map coordinates have more digits than float32: the centre is taken off before
    if part.centre != "none":
        points = points - (points.mean(0) if part.centre == "centroid" else (points.min(0) + points.max(0)) / 2)
    chosen = np.ascontiguousarray(points[_chosen(len(points), part.count, draw)], dtype=np.float32)
    few = len(np.unique(chosen[: 4 * part.least], axis=0)) < part.least  # in no order: a few of them nearly always do
    if few and (different := len(np.unique(chosen, axis=0))) < part.least:
        raise BadSample(f"{different} different points, a group has {part.least}: give more, or make modality.group_size smaller")
    return chosen


def _check_extent(points: Array) -> None:
    """BadSample for a cloud whose squared distances single precision cannot hold."""
    low, high = points.min(0), points.max(0)
    if np.array_equal(low, high):
        raise BadSample(f"all {len(points)} points are the same: a cloud without extent")
    if (reach := float(max(-low.min(), high.max()))) > MOST:
        raise BadSample(f"coordinates up to {reach:.3g}: squared distances need less than {MOST:g}; change their unit")
    if (extent := float((high - low).max())) < LEAST:
        raise BadSample(f"extends over {extent:.3g}: squared distances need more than {LEAST:g}; change their unit")


def read_shape(data: Any) -> Shape:
    """Points, and faces where there are any, of a path, an array ``[P, 3 or more]``, a tensor, or a mapping or an object that
    has ``points`` or ``vertices`` and, perhaps, ``FACES``. BadSample for anything else."""
    if isinstance(data, str | Path):
        return _from_file(Path(data))
    if isinstance(data, Mapping):
        return _from_parts(data)
    if hasattr(data, "detach"):
        data = data.detach().cpu().double().numpy()
    for name in ("vertices", "points", "pos"):
        if not isinstance(data, np.ndarray) and hasattr(data, name):
            return _from_parts({name: getattr(data, name), **{key: getattr(data, key, None) for key in FACES}})
    if isinstance(data, np.ndarray | list | tuple) or hasattr(data, "__array__"):
        return Shape(_coordinates(data))
    raise BadSample(f"{type(data).__name__} is no cloud: expected a path, an array [points, 3], or points with faces")


def _from_parts(data: Mapping[str, Any]) -> Shape:
    """A mapping of arrays, as archives and Hugging Face records are."""
    name = next((name for name in NAMES if data.get(name) is not None), None)
    if name is None and len(data) == 1:
        name = next(iter(data))
    if name is None:
        raise BadSample(f"holds no points: expected one of {', '.join(NAMES)}; it has {', '.join(map(str, data)) or 'nothing'}")
    points, key = _coordinates(data[name]), next((key for key in FACES if data.get(key) is not None), None)
    if key is None or len(data[key]) == 0:
        return Shape(points)
    corners = np.asarray(data[key])
    if key == "face":
        corners = corners.T
    if corners.ndim != 2 or corners.shape[1] != 3 or corners.dtype.kind not in "iu":
        raise BadSample(f"faces of shape {corners.shape} and type {corners.dtype}; expected integers [faces, 3]")
    if int(corners.min()) < 0 or int(corners.max()) >= len(points):
        raise BadSample(f"faces name vertices {int(corners.min())} to {int(corners.max())}; there are {len(points)}")
    return Shape(points, corners.astype(np.int64))


def _from_file(path: Path) -> Shape:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise BadSample(f"no reader for *{path.suffix}; known are {', '.join(READERS)}")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadSample(f"the file cannot be opened: {error.strerror}") from None
    if not raw:
        raise BadSample("the file is empty (0 bytes)")
    return reader(raw)


def _numpy_file(raw: bytes) -> Shape:
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as found:
            if isinstance(found, np.lib.npyio.NpzFile):
                return _from_parts({name: found[name] for name in found.files})
            return Shape(_coordinates(found))
    except BadSample:
        raise
    except Exception as error:  # numpy lets errors of zip and zlib through as they are
        raise BadSample(f"not a readable array file: {' '.join(str(error).split())}") from None


def _numpy_array(raw: bytes) -> Shape:
    try:
        return Shape(_coordinates(np.load(io.BytesIO(raw), allow_pickle=False)))
    except BadSample:
        raise
    except (ValueError, EOFError, OSError) as error:
        raise BadSample(f"not a readable array file: {' '.join(str(error).split())}") from None


def _coordinates(data: Any) -> Array:
    try:
        points = np.asarray(data)
    except ValueError as error:
        raise BadSample(f"is no array: {error}") from None
    if points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind not in "fiu":
        raise BadSample(f"array of shape {points.shape} and type {points.dtype}; expected numbers [points, 3 or more]")
    return points[:, :3].astype(np.float64)


def _finite(points: Array, part: Part) -> Array:
    good = np.isfinite(points).all(1)
    lost = int((~good).sum())
    if not lost:
        return points
    if not part.drop_nan:
        raise BadSample(f"{lost} of {len(points)} points are NaN or infinite; modality.drop_nan=true leaves them out")
    altered(f"{lost} of {len(points)} points left out: NaN or infinite")
    return points[good]


def _chosen(total: int, count: int, draw: np.random.Generator) -> Array:
    if total < count:
        altered(f"{total} points, {count - total} of them drawn again")
        return np.concatenate([draw.permutation(total), draw.integers(total, size=count - total)])
    if total > count:
        altered(f"{count} of {total} points used")
    return draw.permutation(total)[:count]


READERS: dict[str, Callable[[bytes], Shape]] = {
    ".ply": read_ply,
    ".off": read_off,
    ".pcd": read_pcd,
    ".xyz": read_text,
    ".txt": read_text,
    ".pts": read_text,
    ".asc": read_text,
    ".npy": _numpy_array,
    ".npz": _numpy_file,
}
"""Readers by the ending of a file's name."""
