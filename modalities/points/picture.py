"""Clouds as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from .formats import Array

SIDE, GAP, MARGIN = 176, 6, 8
"""Pixels of one view, between two views, and around a cloud."""
VIEWS = ((0, 2, 1, 1.0), (1, 2, 0, -1.0), (0, 1, 2, -1.0))
"""From the front, the side and above: axis to the right, axis upward, axis of depth, and its sign that grows with distance."""
NEAR, FAR = np.array([20.0, 60.0, 140.0]), np.array([150.0, 200.0, 215.0])
HIDDEN, FRAME = np.array([225.0, 195.0, 175.0]), np.array([225.0, 225.0, 225.0])


def three_views(groups: Array, centres: Array, hidden: Array) -> np.ndarray[Any, Any]:
    """Points ``[G, S, 3]``, centres ``[G, 3]``, hidden bool ``[G]`` -> uint8 ``[SIDE, 3 * SIDE + 2 * GAP, 3]``. Near points are
    dark. A hidden group is a ring at its centre. The centres make the frame, so an original and its reconstruction lie alike."""
    middle = (centres.min(0) + centres.max(0)) / 2
    half = max(float((centres.max(0) - centres.min(0)).max()) * 0.58, 1e-6)
    image = np.full((SIDE, 3 * SIDE + 2 * GAP, 3), 255.0)
    shown = (groups[~hidden].reshape(-1, 3) - middle) / half
    rings = (centres[hidden] - middle) / half
    for number, (across, upward, depth, sign) in enumerate(VIEWS):
        left = number * (SIDE + GAP)
        view = image[:, left : left + SIDE]
        view[[0, -1]], view[:, [0, -1]] = FRAME, FRAME
        _rings(view, rings[:, [across, upward]])
        order = np.argsort(-sign * shown[:, depth])
        level = np.clip(0.5 + 0.5 * sign * shown[order, depth], 0, 1)[:, None]
        _dots(view, shown[order][:, [across, upward]], NEAR + (FAR - NEAR) * level)
    return image.round().clip(0, 255).astype(np.uint8)


def _pixels(places: Array) -> tuple[Array, Array, Array]:
    """Places in -1 to 1 -> rows, columns, and which of them can be drawn."""
    good = np.asarray(np.isfinite(places).all(axis=1))
    scaled = np.where(good[:, None], places, 0.0).clip(-9, 9) * (SIDE / 2 - MARGIN)
    return np.rint(SIDE / 2 - scaled[:, 1]).astype(int), np.rint(SIDE / 2 + scaled[:, 0]).astype(int), good


def _dots(view: Array, places: Array, colours: Array) -> None:
    """Squares of two pixels, the last one on top; what lies outside is cut off."""
    rows, columns, good = _pixels(places)
    for down in (0, 1):
        for right in (0, 1):
            y, x = rows + down, columns + right
            inside = good & (y > 0) & (y < SIDE - 1) & (x > 0) & (x < SIDE - 1)
            view[y[inside], x[inside]] = colours[inside]


def _rings(view: Array, places: Array, radius: float = 3.5) -> None:
    rows, columns, good = _pixels(places)
    for down in range(-4, 5):
        for right in range(-4, 5):
            if abs((down * down + right * right) ** 0.5 - radius) > 0.6:
                continue
            y, x = rows + down, columns + right
            inside = good & (y > 0) & (y < SIDE - 1) & (x > 0) & (x < SIDE - 1)
            view[y[inside], x[inside]] = HIDDEN
