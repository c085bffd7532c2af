"""Pieces of words as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, LINE, MARGIN = 480, 16, 6
GREY = (205, 205, 205)


def page(pieces: Sequence[str], hidden: Sequence[bool]) -> np.ndarray[Any, Any]:
    """uint8 ``[H, 480, 3]``: the pieces one after another in lines, those that are hidden on grey. The size does not depend on
    what is hidden."""
    font = ImageFont.load_default()
    x, y = float(MARGIN), float(MARGIN)
    boxes = []
    for piece in pieces:
        plain = piece.encode("latin-1", "replace").decode("latin-1")
        width = font.getlength(plain) + 5
        if x + width > WIDTH - MARGIN and x > MARGIN:
            x, y = float(MARGIN), y + LINE
        boxes.append((x, y, width, plain))
        x += width
    picture = Image.new("RGB", (WIDTH, int(y) + LINE + MARGIN), "white")
    canvas = ImageDraw.Draw(picture)
    for (left, top, width, plain), gone in zip(boxes, hidden, strict=True):
        if gone:
            canvas.rectangle((left - 1, top, left + width - 3, top + LINE - 3), fill=GREY)
        canvas.text((left, top), plain, fill="black", font=font)
    return np.asarray(picture)
