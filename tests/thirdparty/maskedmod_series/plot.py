"""A line plot as pixels."""

from __future__ import annotations

import numpy as np

HEIGHT, STEP = 64, 3


def plot(row: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """uint8 ``[64, 3*length, 3]``: the series between -3 and 3, hidden steps grey."""
    y = ((3 - np.clip(row, -3, 3)) / 6 * (HEIGHT - 1)).astype(int).repeat(STEP)
    image = np.full((HEIGHT, len(y), 3), 255, np.uint8)
    for x in range(len(y)):
        low, high = sorted((y[max(0, x - 1)], y[x]))
        image[low : high + 1, x] = (31, 90, 160)
    image[:, hidden.repeat(STEP)] = 205
    return image
