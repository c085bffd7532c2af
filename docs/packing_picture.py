"""Draws docs/images/packing.svg, three ways to put 24 sequences into batches: python docs/packing_picture.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskedmod.data.budget import BudgetOrder

COUNT, BATCH, SCALE, ROW, GAP, PANEL = 24, 8, 0.16, 9, 14, 250
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
EMPTY, INK = "#e4e7ea", "#161b22"


def lengths() -> list[int]:
    """Of 24 made-up proteins: spread as in a protein data base, median about 300."""
    draw = np.random.default_rng(2).lognormal(5.65, 0.62, COUNT)
    return [int(n) for n in np.clip(draw, 40, 1022)]


def rectangle(x: float, y: float, width: float, fill: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{ROW - 1}" fill="{fill}"/>'


def padded(order: list[int], sizes: list[int], left: float, top: float) -> tuple[list[str], int]:
    """Eight sequences a batch, one a row, filled up to the longest -> shapes and places in all."""
    shapes, places, y = [], 0, top
    for first in range(0, COUNT, BATCH):
        chosen = order[first : first + BATCH]
        longest = max(sizes[i] for i in chosen)
        for i in chosen:
            shapes.append(rectangle(left, y, longest * SCALE, EMPTY))
            shapes.append(rectangle(left, y, sizes[i] * SCALE, COLOURS[i % len(COLOURS)]))
            places, y = places + longest, y + ROW
        y += GAP
    return shapes, places


def packed(sizes: list[int], left: float, top: float) -> tuple[list[str], int]:
    """Batches of at most a budget, sequences one after another."""
    order = BudgetOrder(np.array(sizes), 1400, 1)
    shapes, y = [], top
    for batch in order.epoch(0):
        x = left
        for i in batch:
            shapes.append(rectangle(x, y, sizes[i] * SCALE - 1, COLOURS[i % len(COLOURS)]))
            x += sizes[i] * SCALE
        y += ROW + GAP
    return shapes, sum(sizes)


def picture() -> str:
    """The whole SVG."""
    sizes = lengths()
    by_length = sorted(range(COUNT), key=lambda i: sizes[i])
    drawn = {
        "random batches of 8": padded(list(range(COUNT)), sizes, 20, 50),
        "sorted batches of 8": padded(by_length, sizes, 20 + PANEL, 50),
        "packed, 1,400 tokens": packed(sizes, 20 + 2 * PANEL, 50),
    }
    text = []
    for i, (name, (shapes, places)) in enumerate(drawn.items()):
        empty = 1 - sum(sizes) / places
        x = 20 + i * PANEL
        text.append(f'<text x="{x}" y="22" font-size="14" font-weight="bold" fill="{INK}">{name}</text>')
        text.append(f'<text x="{x}" y="40" font-size="12" fill="#626a73">{empty:.0%} of the places hold nothing</text>')
        text += shapes
    high = 50 + COUNT * ROW + 3 * GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{3 * PANEL + 20}" height="{high}" font-family="sans-serif">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *text, "</svg>", ""])


if __name__ == "__main__":
    target = Path(__file__).resolve().parent / "images" / "packing.svg"
    target.write_text(picture(), encoding="utf-8")
    print(target)
