"""Files of points and meshes, one format a file: each reader takes the bytes of a file and gives a ``Shape``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from maskedmod.core.modality import BadSample

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Shape:
    """``points`` float64 ``[V, 3]``; ``faces`` int64 ``[F, 3]``, triangles of their indices, where the file is a mesh."""

    points: Array
    faces: Array | None = None


def triangles(polygons: list[Array], vertices: int) -> Array | None:
    """Polygons, each kind ``[n, corners]``, cut into triangles around their first corner: int64 ``[F, 3]``, None when there is
    none. BadSample for a corner that is no vertex."""
    parts = []
    for corners in polygons:
        corners = corners.astype(np.int64)
        if corners.size and (int(corners.min()) < 0 or int(corners.max()) >= vertices):
            wrong = int(corners.min()) if int(corners.min()) < 0 else int(corners.max())
            raise BadSample(f"a face names vertex {wrong}, the file has {vertices} (0 to {vertices - 1})")
        parts += [corners[:, [0, i, i + 1]] for i in range(1, corners.shape[1] - 1)]
    faces = np.concatenate(parts) if parts else np.empty((0, 3), np.int64)
    return faces if len(faces) else None


def numbers(lines: list[str], columns: int, what: str, delimiter: str | None = None) -> Array:
    """The first ``columns`` numbers of every line, float64 ``[n, columns]``. BadSample names ``what`` and numpy's finding."""
    if not lines:
        return np.empty((0, columns))
    try:
        return np.loadtxt(lines, usecols=range(columns), ndmin=2, delimiter=delimiter, comments=None)
    except (ValueError, IndexError) as error:
        raise BadSample(f"{what}: {' '.join(str(error).split())}") from None


def decoded(raw: bytes, what: str) -> str:
    """Text of a file in ASCII or UTF-8, whose mark at the start is left out. BadSample when it is none."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSample(f"is no {what} file: byte {error.start} is no text") from None
