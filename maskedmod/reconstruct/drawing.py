"""From panels to one picture: lay out, label, colour by token. Knows nothing of models or modalities beyond ``draw``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskedmod.core.modality import Ticks

INK, SOFT, PAPER, RULE = (22, 27, 34), (98, 106, 115), (255, 255, 255), (222, 226, 230)
BLOCK_COLOURS = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (213, 94, 0), (86, 180, 233))
HEAT = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
MARGIN, GAP, LINE = 24, 10, 20
TICKS, TICK = 16, 11
"""Height of a row of ticks, and size of their text."""


@dataclass
class Stage:
    """One row of the picture: a name, a panel per sample (uint8 ``[H, W, 3]``) and the text under each. ``axes``: ticks across
    and upward per sample; those of the first stage stand for all."""

    name: str
    images: list[Any]
    notes: list[str] = field(default_factory=list)
    strong: bool = False
    axes: list[tuple[Ticks, Ticks]] = field(default_factory=list)


def grid_picture(stages: Sequence[Stage], titles: Sequence[str], headline: str, caption: str, columns: int | None = None) -> Any:
    """One PIL image of all stages of all samples.

    Panels that are not much wider than tall stand in columns, one per sample, with a row per stage. Wide ones (spectrograms)
    are stacked per sample, so that the time axes of the stages lie over one another, two samples side by side.
    ``columns``: how many samples stand side by side instead.
    """
    count = len(stages[0].images)
    height = max(image.shape[0] for image in stages[0].images)
    width = max(image.shape[1] for image in stages[0].images)
    wide = width > 2.5 * height
    across = min(count, columns or (2 if wide else 4 if width > 1.5 * height else 8))
    cell_w = min(720, max(420, width)) if wide else (176 if across > 4 else 300)
    axes = stages[0].axes or [((), ())] * count
    side = max((_font(TICK).getlength(label) for _, upward in axes for _, label in upward), default=-GAP)
    below = TICKS if any(along for along, _ in axes) else 0
    cell = Cell(across, cell_w, max(56 if wide else 32, round(cell_w * height / width)), cell_w / width, round(side) + GAP, below)
    return (_stacked if wide else _columns)(stages, titles, (headline, caption), cell)


@dataclass(frozen=True)
class Cell:
    """Room for one panel: cells side by side, width and height of one in pixels, enlargement of its panel; ``side``: width of
    the ticks to the left of the first cell, ``below``: height of those under the last stage."""

    across: int
    w: int
    h: int
    zoom: float
    side: int = 0
    below: int = 0


def _columns(stages: Sequence[Stage], titles: Sequence[str], texts: tuple[str, str], cell: Cell) -> Any:
    across, w, h = cell.across, cell.w, cell.h
    left = MARGIN + 120 + cell.side
    row_h = [h + GAP + (LINE if stage.notes else 0) + (cell.below if stage is stages[-1] else 0) for stage in stages]
    blocks = -(-len(titles) // across)
    block_h = LINE + sum(row_h) + 2 * GAP
    canvas = Canvas(left + across * (w + GAP) + MARGIN, blocks * block_h, *texts)
    for i, title in enumerate(titles):
        x, y = left + (i % across) * (w + GAP), canvas.top + (i // across) * block_h
        canvas.text(x, y, canvas.fit(title, w, 12), 12, SOFT)
        y += LINE
        for stage, step in zip(stages, row_h, strict=True):
            if i % across == 0:
                canvas.text(MARGIN, y + h // 2 - 9, stage.name, 14, INK)
            under = canvas.stage(stages, stage, i, x, y, cell)
            if stage.notes:
                canvas.text(x, under, canvas.fit(stage.notes[i], w, 12), 12, INK if stage.strong else SOFT)
            y += step
    return canvas.image


def _stacked(stages: Sequence[Stage], titles: Sequence[str], texts: tuple[str, str], cell: Cell) -> Any:
    across, w, h = cell.across, cell.w, cell.h
    block_h = LINE + len(stages) * (h + LINE + 2) + cell.below + 3 * GAP
    left = MARGIN + cell.side
    canvas = Canvas(left + MARGIN + across * w + (across - 1) * 2 * GAP, -(-len(titles) // across) * block_h, *texts)
    for i, title in enumerate(titles):
        x, y = left + (i % across) * (w + 2 * GAP), canvas.top + (i // across) * block_h
        canvas.text(x, y, canvas.fit(title, w, 13), 13, INK)
        y += LINE
        for stage in stages:
            under = canvas.stage(stages, stage, i, x, y, cell)
            note = f"{stage.name}: {stage.notes[i]}" if stage.notes else stage.name
            canvas.text(x, under, canvas.fit(note, w, 12), 12, INK if stage.strong else SOFT)
            y += h + LINE + 2
    return canvas.image


class Canvas:
    """A white picture of ``width`` with a headline, a caption under it and ``height`` pixels of room from ``top`` on."""

    def __init__(self, width: int, height: int, headline: str, caption: str) -> None:
        from PIL import Image, ImageDraw

        lines = [(line, 20, INK) for line in self.wrap(headline, width - 2 * MARGIN, 20)]
        lines += [(line, 13, SOFT) for line in self.wrap(caption, width - 2 * MARGIN, 13)]
        self.top = MARGIN + sum(round(size * 1.45) for _, size, _ in lines) + GAP
        self.image = Image.new("RGB", (width, self.top + height + MARGIN - GAP), PAPER)
        self.pen = ImageDraw.Draw(self.image)
        y = MARGIN
        for line, size, colour in lines:
            self.text(MARGIN, y, line, size, colour)
            y += round(size * 1.45)

    def text(self, x: int, y: int, words: str, size: int, colour: tuple[int, int, int]) -> None:
        self.pen.text((x, y), words, fill=colour, font=_font(size))

    def stage(self, stages: Sequence[Stage], stage: Stage, i: int, x: int, y: int, cell: Cell) -> int:
        """The panel of sample ``i`` with its axes: upward in the first column, across under the last stage. -> where text under
        it begins."""
        w = self.panel(stage.images[i], x, y, cell)
        across, upward = stages[0].axes[i] if stages[0].axes else ((), ())
        if i % cell.across == 0:
            self._upward(upward, x, y, cell.h)
        if stage is not stages[-1]:
            return y + cell.h + 3
        self._along(across, x, y + cell.h, w)
        return y + cell.h + 3 + cell.below

    def _upward(self, ticks: Ticks, x: int, y: int, h: int) -> None:
        last = y - TICK
        for place, label in reversed(ticks):
            at = round(y + h * (1 - place))
            if at - last >= TICK:  # where they would touch, the upper one stands
                self.pen.line((x - 4, at, x - 2, at), fill=SOFT)
                self.text(x - 6 - round(_font(TICK).getlength(label)), at - TICK // 2 - 2, label, TICK, SOFT)
                last = at

    def _along(self, ticks: Ticks, x: int, y: int, w: int) -> None:
        free = x - TICK
        for place, label in ticks:
            at, size = round(x + w * place), round(_font(TICK).getlength(label))
            start = min(at, x + w - size)  # the last one ends with the panel
            if start > free:
                self.pen.line((at, y + 1, at, y + 3), fill=SOFT)
                self.text(start, y + 4, label, TICK, SOFT)
                free = start + size + 6

    def panel(self, pixels: Any, x: int, y: int, cell: Cell) -> int:
        """Paste a panel at the left of its cell -> its width; small ones are enlarged in hard pixels, so that no detail is made
        up."""
        from PIL import Image

        picture = Image.fromarray(np.ascontiguousarray(pixels))
        w, h = min(cell.w, max(1, round(picture.width * cell.zoom))), cell.h
        how = Image.Resampling.NEAREST if picture.width <= w else Image.Resampling.LANCZOS
        self.image.paste(picture.resize((w, h), how), (x, y))
        self.pen.rectangle((x - 1, y - 1, x + w, y + h), outline=RULE)
        return w

    @staticmethod
    def fit(words: str, width: int, size: int) -> str:
        """Cut in the middle to the width in pixels."""
        font = _font(size)
        if font.getlength(words) <= width:
            return words
        keep = len(words)
        while keep > 6 and font.getlength(words[: keep // 3] + "…" + words[-(keep - keep // 3) :]) > width:
            keep -= 1
        return words[: keep // 3] + "…" + words[-(keep - keep // 3) :]

    @staticmethod
    def wrap(words: str, width: int, size: int) -> list[str]:
        """Lines no wider than ``width`` pixels."""
        font, lines = _font(size), [""]
        for word in words.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and font.getlength(longer) > width:
                lines.append(word)
            else:
                lines[-1] = longer
        return [line for line in lines if line]


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def token_map(draw: Callable[[Any], list[Any]], shape: tuple[int, int]) -> list[np.ndarray]:
    """Which token is drawn at each pixel, for every sample: int ``[H, W]``, -1 where there is none.

    ``draw(hidden)`` draws the samples with tokens in bool ``[B, N]`` greyed out. A modality does not say where it draws a
    token, so token numbers are spelt in binary: bit i of all numbers is hidden, then its complement, and a pixel that
    greys with the one and not with the other has that bit. Where tokens overlap, a pixel goes to its left neighbour's token.
    """
    b, n = shape
    nothing, everything = draw(np.zeros((b, n), bool)), draw(np.ones((b, n), bool))
    drawn = [(grey != plain).any(-1) for grey, plain in zip(everything, nothing, strict=True)]
    numbers, clear = [np.zeros(d.shape, np.int64) for d in drawn], [d.copy() for d in drawn]
    for bit in range(max(1, (n - 1).bit_length())):
        on = np.broadcast_to((np.arange(n) >> bit & 1).astype(bool), (b, n))
        with_bit, without = draw(on.copy()), draw(~on)
        for i in range(b):
            one, zero = ((side[i] == everything[i]).all(-1) for side in (with_bit, without))
            numbers[i] += one.astype(np.int64) << bit
            clear[i] &= one ^ zero
    return [np.where(d, _spread(num, ok & (num < n)), -1) for d, num, ok in zip(drawn, numbers, clear, strict=True)]


def _spread(numbers: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fill unknown pixels from the last known one to the left, then above."""
    out = np.where(known, numbers, -1)
    for axis in (1, 0):
        at = np.where(out >= 0, np.arange(out.shape[axis]).reshape((1, -1) if axis else (-1, 1)), 0)
        filled = np.take_along_axis(out, np.maximum.accumulate(at, axis=axis), axis=axis)
        out = np.where(out >= 0, out, filled)
    return out


def paint_heat(image: np.ndarray, tokens: np.ndarray, values: np.ndarray, top: float) -> np.ndarray:
    """Colour tokens by ``values [N]`` between 0 and ``top``, dark to light; NaN keeps the pixels, paled."""
    level = np.where(np.isfinite(values), np.clip(np.nan_to_num(values) / max(top, 1e-12), 0, 1), 0) * (len(HEAT) - 1)
    low = np.minimum(level.astype(int), len(HEAT) - 2)
    table = np.asarray(HEAT, float)
    colours = table[low] + (table[low + 1] - table[low]) * (level - low)[:, None]
    shown = (tokens >= 0) & np.isfinite(values)[tokens]
    return np.where(shown[..., None], colours[tokens], 255 - (255 - image.astype(float)) * 0.35).astype(np.uint8)


def paint_blocks(image: np.ndarray, tokens: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Tint the tokens of each block (bool ``[J, N]``) and draw its outline; the rest is paled."""
    out = 255 - (255 - image.astype(float)) * 0.3
    inside = np.stack([block[tokens] & (tokens >= 0) for block in blocks])
    out[inside.any(0)] = image[inside.any(0)]
    for j, area in enumerate(inside):
        colour = np.asarray(BLOCK_COLOURS[j % len(BLOCK_COLOURS)], float)
        out[area] = out[area] * 0.65 + colour * 0.35
        edge = area & ~(np.roll(area, 1, 0) & np.roll(area, -1, 0) & np.roll(area, 1, 1) & np.roll(area, -1, 1))
        out[edge] = colour
    return out.astype(np.uint8)
