"""Picture of a scan: positions from left to right, residues from top to bottom, in strips that fit a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from maskedmod.reconstruct.drawing import INK, MARGIN, PAPER, RULE, SOFT, Canvas
from maskedmod.score.methods import Method

LOW, MIDDLE, HIGH = (178, 24, 43), (247, 247, 247), (33, 102, 172)
"""Less likely than the wild type, as likely, likelier."""
LEFT, TOP, BAR = 28, 34, 300


class Scan(Protocol):
    """What is drawn, see ``scan.Scan``."""

    values: np.ndarray[Any, Any]
    wildtype: str
    residues: tuple[str, ...]
    method: Method
    window: str
    offset: int


@dataclass(frozen=True)
class Sizes:
    """``cell``: pixels of one mutant; ``across``: positions in a strip."""

    cell: int
    across: int

    @classmethod
    def of(cls, length: int) -> Sizes:
        """Cells with room for a mark up to some hundred residues, then smaller ones."""
        cell = 20 if length <= 40 else 14 if length <= 600 else 7 if length <= 3000 else 3
        return cls(cell, min(length, max(20, 1400 // cell // 10 * 10)))


def heat_map(scan: Scan, title: str = "") -> Any:
    """A PIL image. Blue is likelier than the wild type, red less likely; pseudo-perplexities are shown as ``shown`` says. The
    wild type's own residues are dots. Colours end at the 99th percentile of the absolute values."""
    values, name = shown(scan)
    reach = max(float(np.nanpercentile(np.abs(values), 99)), 1e-9) if np.isfinite(values).any() else 1.0
    sizes = Sizes.of(len(scan.wildtype))
    strip = TOP + len(scan.residues) * sizes.cell + 16
    strips = -(-len(scan.wildtype) // sizes.across)
    width = max(2 * MARGIN + LEFT + sizes.across * sizes.cell, 2 * MARGIN + BAR + 160)
    caption = f"{name}; dots: the wild type; window {scan.window}"
    canvas = Canvas(width, strips * strip + 60, title or f"{len(scan.wildtype)} residues, {scan.method}", caption)
    for number in range(strips):
        _strip(canvas, scan, values / reach, number * sizes.across, canvas.top + number * strip, sizes)
    _bar(canvas, canvas.top + strips * strip + 8, reach)
    return canvas.image


def shown(scan: Scan) -> tuple[np.ndarray[Any, Any], str]:
    """Values of which more than 0 is likelier than the wild type, and what they are."""
    if scan.method != "pseudo-perplexity":
        return scan.values, f"log p(mutant) - log p(wild type), {scan.method}"
    own = np.array([[new == old for new in scan.residues] for old in scan.wildtype])
    wild = np.log(scan.values[own]).mean() if own.any() else np.log(scan.values).max()
    return wild - np.log(scan.values), "log of the wild type's pseudo-perplexity over the mutant's"


def _strip(canvas: Canvas, scan: Scan, values: np.ndarray[Any, Any], first: int, top: int, sizes: Sizes) -> None:
    from PIL import Image

    last, cell = min(first + sizes.across, len(scan.wildtype)), sizes.cell
    x0, y0 = MARGIN + LEFT, top + TOP
    colours = _colours(values[first:last].T)
    size = ((last - first) * cell, len(scan.residues) * cell)
    canvas.image.paste(Image.fromarray(colours).resize(size, Image.Resampling.NEAREST), (x0, y0))
    canvas.pen.rectangle((x0 - 1, y0 - 1, x0 + size[0], y0 + size[1]), outline=RULE)
    if cell >= 7:
        for row, residue in enumerate(scan.residues):
            _centred(canvas, x0 - 10, y0 + (row + 0.5) * cell, residue, min(12, cell + 1), SOFT)
    for place in range(first, last):
        x, number = x0 + (place - first + 0.5) * cell, place + scan.offset
        if number % (10 if cell >= 7 else 50) == 0 or place == first:
            canvas.pen.line((x, y0 - 5, x, y0 - 2), fill=INK)
            if place != first or (-number) % 10 > 2 or number % 10 == 0:
                _centred(canvas, x, top + 6, str(number), 12, INK)
        if cell >= 12:
            _centred(canvas, x, y0 - 13, scan.wildtype[place], 11, SOFT)
        if scan.wildtype[place] in scan.residues:
            y = y0 + (scan.residues.index(scan.wildtype[place]) + 0.5) * cell
            r = max(1.0, cell / 6)
            canvas.pen.ellipse((x - r, y - r, x + r, y + r), fill=INK)


def _bar(canvas: Canvas, y: int, reach: float) -> None:
    """The colour bar with its ends and what they mean."""
    from PIL import Image

    x0 = MARGIN + LEFT
    ramp = _colours(np.linspace(-1, 1, BAR)[None])
    canvas.image.paste(Image.fromarray(ramp).resize((BAR, 12), Image.Resampling.NEAREST), (x0, y))
    canvas.pen.rectangle((x0 - 1, y - 1, x0 + BAR, y + 12), outline=RULE)
    for share, text in ((0.0, f"{-reach:.2g} or less"), (0.5, "0"), (1.0, f"{reach:.2g} or more")):
        _centred(canvas, x0 + share * BAR, y + 22, text, 12, INK)
    _centred(canvas, x0 + BAR / 4, y + 37, "less likely", 12, SOFT)
    _centred(canvas, x0 + BAR * 3 / 4, y + 37, "likelier", 12, SOFT)


def _centred(canvas: Canvas, x: float, y: float, words: str, size: int, colour: Sequence[int]) -> None:
    from PIL import ImageFont

    canvas.pen.text((x, y), words, fill=tuple(colour), font=ImageFont.load_default(size), anchor="mm")


def _colours(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """-1 to 1 ``[...]`` -> uint8 ``[..., 3]``; NaN is paper."""
    share = np.clip(np.nan_to_num(values), -1, 1)[..., None]
    middle, low, high = (np.asarray(colour, float) for colour in (MIDDLE, LOW, HIGH))
    mixed = np.where(share < 0, middle + (low - middle) * -share, middle + (high - middle) * share)
    return np.where(np.isfinite(values)[..., None], mixed, np.asarray(PAPER, float)).round().astype(np.uint8)
