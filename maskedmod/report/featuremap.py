"""A map of features: their two directions of largest variance, a point a sample, coloured by label."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

MOST_POINTS = 1000
"""Points that a map shows."""
MOST_CLASSES = 12
"""Classes that are told apart by colour; with more of them, points are plain."""
SIZE, EDGE = 520, 16


def project(x: Tensor) -> tuple[Tensor, list[float]]:
    """Principal components: features ``[n, D]`` -> points ``[n, 2]`` and the shares of the variance on the two axes. The sign
    of each axis is set by its largest weight, so that the same features give the same map."""
    import torch

    x = x.double() - x.double().mean(0)
    _, values, directions = torch.linalg.svd(x, full_matrices=False)
    directions = directions[:2]
    strongest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    points = x @ (directions * strongest.sign()).T
    if points.shape[1] < 2:
        points = torch.cat([points, points.new_zeros(len(points), 1)], 1)
    total = float(values.square().sum())
    shares = [float(one) / total if total > 0 else 0.0 for one in values[:2].square()]
    return points, [*shares, 0.0][:2]


def save_map(path: Path, x: Tensor, labels: Sequence[Any], step: int) -> Path:
    """Write the map of features ``[n, D]`` as JSON: ``step``, ``share`` of the variance on each axis, ``names`` of the classes,
    and ``points`` ``[across, up, class]`` with class None where there is no label (or no class)."""
    points, share = project(x)
    every = -(-len(points) // MOST_POINTS)
    names, numbers = _classes(labels)
    rows = [[round(a, 4), round(b, 4), number] for (a, b), number in zip(points.tolist(), numbers, strict=True)][::every]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps({"step": step, "samples": len(points), "share": share, "names": names, "points": rows}))
    part.replace(path)
    return path


def _classes(labels: Sequence[Any]) -> tuple[list[str], list[int | None]]:
    """Names in order (numbers by size) and the number of each label; labels that are no classes are none."""
    texts = [str(label) if isinstance(label, str) or (type(label) is int and label != -1) else None for label in labels]
    names = sorted({text for text in texts if text is not None}, key=_numbers_first)
    number = {name: i for i, name in enumerate(names)}
    return names, [None if text is None else number[text] for text in texts]


def _numbers_first(text: str) -> tuple[bool, int, str]:
    number = text.isdecimal()
    return (not number, int(text) if number else 0, text)


def draw_map(found: dict[str, Any]) -> str:
    """The map as inline SVG with a legend; nothing when the file holds none. Colours are the page's variables."""
    rows, names = found.get("points") or [], found.get("names") or []
    rows = [row for row in rows if isinstance(row, list) and len(row) == 3][:MOST_POINTS]
    if len(rows) < 3:
        return ""
    xs, ys = [row[0] for row in rows], [row[1] for row in rows]
    low_x, high_x, low_y, high_y = min(xs), max(xs), min(ys), max(ys)
    span = max(high_x - low_x, high_y - low_y) or 1.0
    height = max(160, round((SIZE - 2 * EDGE) * (high_y - low_y) / span) + 2 * EDGE)
    scale = (SIZE - 2 * EDGE) / span
    left, top = (SIZE - (high_x - low_x) * scale) / 2, (height - (high_y - low_y) * scale) / 2
    coloured = 1 < len(names) <= MOST_CLASSES
    dots = []
    for x, y, kind in rows:
        colour = f"p{kind % MOST_CLASSES}" if coloured and kind is not None else "p"
        across, down = left + (x - low_x) * scale, top + (high_y - y) * scale
        dots.append(f'<circle class="{colour}" cx="{across:.1f}" cy="{down:.1f}" r="3.4"/>')
    svg = f'<svg viewBox="0 0 {SIZE} {height}" role="img" aria-label="map of the features">{"".join(dots)}</svg>'
    return f'<figure class="chart map">{svg}{_legend(names, rows) if coloured else ""}</figure>'


def _legend(names: Sequence[str], rows: Sequence[Any]) -> str:
    counts = Counter(row[2] for row in rows)
    keys = [
        f'<span class="key"><i class="round p{i}"></i>{escape(str(name))}&nbsp;<small>({counts[i]})</small></span>'
        for i, name in enumerate(names)
    ]
    return f'<p class="keys">{"".join(keys)}</p>'
