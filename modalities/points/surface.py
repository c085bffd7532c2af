"""Points drawn evenly on the surface of a mesh."""

from __future__ import annotations

import numpy as np

from maskedmod.core.modality import BadSample

from .formats import Array


def sample_surface(points: Array, faces: Array, count: int, draw: np.random.Generator) -> Array:
    """Vertices ``[V, 3]`` and triangles ``[F, 3]`` -> ``count`` points float64 ``[count, 3]``: a triangle by its area, a place in
    it evenly (Osada et al. 2002, section 4.2). BadSample for a mesh without area."""
    corners = points[faces]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.linalg.norm(np.cross(a, b), axis=1)
    total = area.cumsum()
    if not np.isfinite(total[-1]) or total[-1] <= 0:
        raise BadSample(f"a mesh of {len(faces)} triangles without area")
    chosen = np.searchsorted(total, draw.random(count) * total[-1], side="right").clip(max=len(faces) - 1)
    u, v = draw.random((2, count, 1))
    outside = u + v > 1  # the other half of the parallelogram, turned back into the triangle
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    return np.asarray(corners[chosen, 0] + u * a[chosen] + v * b[chosen])
