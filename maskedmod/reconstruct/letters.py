"""Reconstructions of packed ids: what was written, what was hidden, what was put there and how sure the model was of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from maskedmod.core.modality import Modality
from maskedmod.reconstruct.drawing import INK, MARGIN, PAPER, RULE, SOFT, Canvas
from maskedmod.reconstruct.reconstruction import Reconstruction

WIDTH, SIZE, HIGH, BAR, GAP = 1100, 14, 20, 22, 26
"""Pixels: of a line, of a letter, of its box, of a full bar; between two lines."""
HIDDEN, RIGHT, WRONG = (214, 219, 225), (23, 120, 62), (186, 36, 36)
LEFT = 78
"""Room for the names of the rows."""


@dataclass(frozen=True)
class Piece:
    """One token of a sample. ``said``: what was put where it was hidden; ``sure``: probabilities of that and of the truth."""

    true: str
    hidden: bool
    said: str | None = None
    sure: tuple[float, float] = (0.0, 0.0)


def pieces(recon: Reconstruction) -> list[list[Piece]]:
    """Tokens of every sample, class and end tokens left out."""
    alphabet, cu = recon.modality.alphabet, recon.tokens.layout.cu_seqlens
    assert cu is not None and recon.predicted is not None and recon.sure is not None
    ends = set() if alphabet is None else {alphabet.cls, alphabet.eos}
    ids, said = recon.tokens.values.long().tolist(), recon.predicted.long().tolist()
    hidden, asked, sure = recon.hidden.tolist(), recon.blocks.tolist(), recon.sure.tolist()
    out = []
    for first, last in pairwise(cu.tolist()):
        places = [i for i in range(first, last) if ids[i] not in ends]
        out.append(
            [
                Piece(_text(recon.modality, ids[i]), hidden[i] or asked[i], _text(recon.modality, said[i]), tuple(sure[i]))
                if asked[i]
                else Piece(_text(recon.modality, ids[i]), hidden[i])
                for i in places
            ]
        )
    return out


def letters_picture(recon: Reconstruction, titles: Sequence[str], headline: str) -> Any:
    """A PIL image: for every sample lines of what was written, with hidden places boxed, and of what the model put there."""
    samples = pieces(recon)
    laid = [_lines(sample) for sample in samples]
    height = sum(GAP + len(lines) * (2 * HIGH + BAR + GAP) for lines in laid)
    caption = (
        "Hidden places are boxed. Under each: what the model found likeliest, green where it is right; the bar in its frame is "
        "its probability, the dark part that of the truth"
    )
    canvas = Canvas(WIDTH + 2 * MARGIN + LEFT, height, headline, f"{caption}. {recon.note}".strip())
    y = canvas.top
    for title, sample, lines in zip(titles, samples, laid, strict=True):
        asked = [piece for piece in sample if piece.said is not None]
        right = sum(piece.said == piece.true for piece in asked)
        canvas.text(MARGIN, y, f"{title}: {right} of {len(asked)} right" if asked else f"{title}: nothing was hidden", 13, INK)
        y += GAP
        for line in lines:
            _line(canvas, line, y)
            y += 2 * HIGH + BAR + GAP
    return canvas.image


def _text(modality: Modality, token: int) -> str:
    """A token as people write it."""
    decode = getattr(modality, "decode", None)
    alphabet = modality.alphabet
    plain = decode([token]) if decode is not None else ""
    if not plain and alphabet is not None:
        plain = alphabet.tokens[token]
    return plain.encode("latin-1", "replace").decode("latin-1")


def _lines(sample: Sequence[Piece]) -> list[list[tuple[Piece, int, int]]]:
    """Pieces with their left edge and width, broken into lines."""
    from PIL import ImageFont

    font = ImageFont.load_default(SIZE)
    lines: list[list[tuple[Piece, int, int]]] = [[]]
    x = 0
    for piece in sample:
        wide = max(16, round(max(font.getlength(piece.true), font.getlength(piece.said or ""))) + 6)
        if x + wide > WIDTH and lines[-1]:
            lines.append([])
            x = 0
        lines[-1].append((piece, x, wide))
        x += wide
    return lines


def _line(canvas: Canvas, line: Sequence[tuple[Piece, int, int]], y: int) -> None:
    from PIL import ImageFont

    font, x0 = ImageFont.load_default(SIZE), MARGIN + LEFT
    for name, below in (("written", 0), ("predicted", HIGH)):
        canvas.text(MARGIN, y + below + 1, name, 12, SOFT)
    for piece, x, wide in line:
        left, middle = x0 + x, x0 + x + wide / 2
        if piece.hidden:
            canvas.pen.rectangle((left, y, left + wide - 2, y + HIGH - 2), fill=HIDDEN, outline=RULE)
        canvas.pen.text((middle, y + HIGH / 2), piece.true, fill=INK, font=font, anchor="mm")
        if piece.said is None:
            continue
        colour = RIGHT if piece.said == piece.true else WRONG
        canvas.pen.text((middle, y + 1.5 * HIGH), piece.said, fill=colour, font=font, anchor="mm")
        base = y + 2 * HIGH + BAR
        canvas.pen.rectangle((left + 2, base - BAR, left + wide - 4, base), outline=RULE)
        for share, shade in zip(piece.sure, (_pale(colour), colour), strict=True):
            canvas.pen.rectangle((left + 2, base - round(share * BAR), left + wide - 4, base), fill=shade)


def _pale(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    mixed = (np.asarray(colour) + 2 * np.asarray(PAPER)) // 3
    return int(mixed[0]), int(mixed[1]), int(mixed[2])
