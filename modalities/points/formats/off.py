"""OFF: the text format of ModelNet's meshes."""

from __future__ import annotations

import re

import numpy as np

from maskedmod.core.modality import BadSample, altered

from . import Shape, decoded, numbers, triangles

HEADER = re.compile(r"(?:ST)?C?N?OFF(?=\s|\d|$)")
"""Letters before OFF say what follows the coordinates of a vertex (texture, colour, normal), which is not read."""


def read_off(raw: bytes) -> Shape:
    """Also with the counts right behind the word (``OFF123 456 0``), as in some files of ModelNet40. BadSample for a header that
    is none and for lines that are missing."""
    lines = [line for line in (part.split("#", 1)[0].strip() for part in decoded(raw, "OFF").splitlines()) if line]
    head = HEADER.match(lines[0]) if lines else None
    if head is None:
        raise BadSample(f"is no OFF file: expected OFF at the start, found {lines[0][:20] if lines else 'nothing'!r}")
    rest = lines[0][head.end() :].strip()
    counts, body = (rest, lines[1:]) if rest else (lines[1] if len(lines) > 1 else "", lines[2:])
    words = counts.split()
    if len(words) not in (2, 3) or not all(word.isdecimal() for word in words):
        raise BadSample(f"broken OFF header: expected numbers of vertices, faces and edges, found {counts[:40]!r}")
    vertices, faces = int(words[0]), int(words[1])
    if len(body) < vertices + faces:
        raise BadSample(f"cut off: the header promises {vertices} vertices and {faces} faces, {len(body)} lines follow")
    if more := len(body) - vertices - faces:
        altered(f"{more} lines after the faces left out")
    points = numbers(body[:vertices], 3, "vertices")
    by_corners: dict[str, list[str]] = {}
    for line in body[vertices : vertices + faces]:
        by_corners.setdefault(line.split(maxsplit=1)[0], []).append(line)
    if bad := [word for word in by_corners if not word.isdecimal()]:
        raise BadSample(f"a face begins with {bad[0][:20]!r}, expected its number of corners")
    polygons = [numbers(part, int(n) + 1, f"faces of {n} corners")[:, 1:] for n, part in by_corners.items()]
    return Shape(points, triangles([np.rint(polygon) for polygon in polygons], vertices))
