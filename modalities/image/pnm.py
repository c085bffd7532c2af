"""PGM and PPM whose maximum is not 255: 10, 12 and 16 bits, and any other, in binary and in text (Netpbm's pgm(5), ppm(5))."""

from __future__ import annotations

import re

import numpy as np

from maskedmod.core.modality import BadSample, altered

from .tiff import GREY, RGB, Page

SPACE = rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])+"
"""Between the numbers of a header: blanks and comments."""
HEADER = re.compile(
    rb"P([2356])" + SPACE + rb"(\d{1,9})" + SPACE + rb"(\d{1,9})" + SPACE + rb"(\d{1,9})(?:#[^\r\n]*)?[ \t\r\n\v\f]", re.DOTALL
)


def read_pnm(raw: bytes) -> Page | None:
    """The first picture of a file; None for one that Pillow reads without loss (a maximum of 255) and for what is none. BadSample
    for one that is cut off or has no possible maximum."""
    head = HEADER.match(raw[:4096])
    if head is None or int(head[4]) == 255:
        return None
    kind, width, height, whole = (int(word) for word in head.groups())
    if not 0 < whole < 65536 or not width or not height:
        raise BadSample(f"PGM or PPM of {width} x {height} with the maximum {whole}; expected 1 to 65535")
    samples = 3 if kind in (3, 6) else 1
    count, at = width * height * samples, head.end()
    values, rest = _binary(raw, at, count, whole) if kind > 4 else _text(raw, at, count)
    if rest:
        altered("only the first of its pictures used")
    if more := int((values > whole).sum()):
        altered(f"{more} values above the maximum {whole} cut to it")
        values = np.minimum(values, whole)
    pixels = values.reshape(height, width, samples)
    if 255 % whole == 0:  # every value is one of 8 bits
        return Page(pixels * (255 // whole), 255.0, RGB if samples == 3 else GREY, 0, False)
    return Page(pixels, float(whole), RGB if samples == 3 else GREY, 0, False)


def _binary(raw: bytes, at: int, count: int, whole: int) -> tuple[np.ndarray, bool]:
    """Values, two bytes each, the higher one first, where the maximum needs them; whether another picture follows."""
    size = 2 if whole > 255 else 1
    if len(raw) - at < count * size:
        raise BadSample(f"the image file is damaged or cut off: {(len(raw) - at) // size} of {count} values are there")
    return np.frombuffer(raw, f">u{size}", count, at).astype(np.int64), raw[at + count * size :].strip()[:1] == b"P"


def _text(raw: bytes, at: int, count: int) -> tuple[np.ndarray, bool]:
    words = re.sub(rb"#[^\r\n]*", b"", raw[at:]).split()
    try:
        values = np.array(words[:count], np.int64)
    except (ValueError, OverflowError):
        raise BadSample("the image file is damaged: a value is no number") from None
    if len(values) < count or (values < 0).any():
        raise BadSample(f"the image file is damaged or cut off: {len(values)} of {count} values are there")
    return values, words[count : count + 1] in ([b"P2"], [b"P3"])
