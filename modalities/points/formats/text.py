"""Points line by line (XYZ, TXT, PTS, ASC): at least three numbers a line, between blanks, commas or semicolons."""

from __future__ import annotations

import re

from maskedmod.core.modality import BadSample, altered

from . import Shape, decoded, numbers

FIRST = 3
"""Lines at the start that may be a comment, a title or the number of points."""
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf)", re.IGNORECASE)


def read_text(raw: bytes) -> Shape:
    """The first three numbers of every line. Lines that begin with ``#`` or ``//`` are comments; up to three lines before the
    first point may be anything. BadSample when a line after it is none."""
    lines = [line for line in decoded(raw, "text").splitlines() if line.strip() and not line.lstrip().startswith(("#", "//"))]
    first = next((i for i, line in enumerate(lines[: FIRST + 1]) if _is_point(line)), None)
    if first is None:
        raise BadSample("holds no points: expected lines of three numbers" if lines else "holds no line")
    if first:
        altered(f"{first} lines before the points left out")
    delimiter = next((sign for sign in ",;" if sign in lines[first]), None)
    return Shape(numbers(lines[first:], 3, "points", delimiter))


def _is_point(line: str) -> bool:
    words = re.split(r"[\s,;]+", line.strip())
    return len(words) >= 3 and all(NUMBER.fullmatch(word) for word in words[:3])
