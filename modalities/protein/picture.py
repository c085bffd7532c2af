"""A protein as a strip of coloured letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

COLUMNS, WIDE, HIGH = 50, 14, 18
GREY, PALE = (150, 156, 163), (228, 231, 234)
COLOURS = {
    **dict.fromkeys("AVLIMC", (250, 222, 170)),  # hydrophobic
    **dict.fromkeys("FWYH", (244, 196, 160)),  # aromatic
    **dict.fromkeys("STNQ", (190, 226, 200)),  # polar
    **dict.fromkeys("DE", (240, 176, 186)),  # negative
    **dict.fromkeys("KR", (178, 206, 240)),  # positive
    **dict.fromkeys("GP", (222, 206, 236)),  # bends
}
INK = (22, 27, 34)


def strip(tokens: Sequence[str], hidden: Sequence[bool]) -> np.ndarray[Any, Any]:
    """uint8 ``[H, W, 3]``: fifty letters a line, coloured by the nature of the residue; hidden places are grey and say ``?``."""
    lines = max(1, -(-len(tokens) // COLUMNS))
    width = min(COLUMNS, max(1, len(tokens))) * WIDE
    picture = Image.new("RGB", (width, lines * HIGH), (255, 255, 255))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    for i, (token, gone) in enumerate(zip(tokens, hidden, strict=True)):
        x, y = (i % COLUMNS) * WIDE, (i // COLUMNS) * HIGH
        letter = "?" if gone else token[0]
        pen.rectangle((x, y, x + WIDE - 2, y + HIGH - 2), fill=GREY if gone else COLOURS.get(letter, PALE))
        pen.text((x + WIDE / 2 - 1, y + HIGH / 2 - 1), letter, fill=(255, 255, 255) if gone else INK, font=font, anchor="mm")
    return np.asarray(picture)
