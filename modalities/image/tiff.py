"""TIFF with more than 8 bits or more bands than Pillow knows: any bits, compression that libtiff undoes, tiles, planes, pages."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as Pillow

from maskedmod.core.modality import BadSample, altered

MIN_IS_WHITE, GREY, RGB, CMYK = 0, 1, 2, 5
"""Photometric interpretations that can be read."""
OTHERS = {3: "palette", 4: "mask", 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32844: "LogL", 32845: "LogLuv"}
HORIZONTAL, FLOATING = 2, 3
"""Predictors."""


@dataclass(frozen=True)
class Page:
    """``pixels`` ``[H, W, S]`` as they are stored, but 0 is black; ``whole``: the value that stands for 1, None: values are taken
    as they are. ``colour``: GREY, RGB or CMYK; ``alphas``: bands at the end that are no colour, ``see_through``: the first
    of these is transparency."""

    pixels: np.ndarray[Any, Any]
    whole: float | None
    colour: int
    alphas: int
    see_through: bool


def read_tiff(raw: bytes, channels: int) -> Page:
    """The first picture of a file, or its pages as bands where there are ``channels`` grey ones. BadSample says what cannot be
    read."""
    try:
        import tifffile
    except ImportError:
        raise BadSample('TIFF with many bands or 16 bits needs tifffile; pip install "maskedmod[image]" brings it') from None
    try:
        with tifffile.TiffFile(io.BytesIO(raw)) as file:
            first: Any = file.pages[0]
            if (bands := _bands(raw, file, channels)) is not None:
                return _page(first, bands, grey=True)
            if len(file.pages) > 1:
                altered("only the first of its pictures used")
            return _page(first, _pixels(raw, first, file.byteorder))
    except BadSample:
        raise
    except Exception as error:
        raise BadSample(f"not a readable TIFF file: {error}") from None


def _bands(raw: bytes, file: Any, channels: int) -> np.ndarray[Any, Any] | None:
    """Grey pages as bands ``[H, W, C]``: as many as there are channels (three of them only where the file calls them bands), or,
    of an array that tifffile wrote, rows of it. None where the pages are pictures."""
    axes, pages = file.series[0].axes, list(file.pages)
    if channels == 1 or len(pages) < 2 or any(int(page.samplesperpixel) > 1 for page in pages):
        return None
    across = axes[0] == "Q" and int(pages[0].imagewidth) == channels
    if not across and (len(pages) != channels or (channels == 3 and axes[0] not in "QCS")):
        return None
    found = np.concatenate([_pixels(raw, page, file.byteorder) for page in pages], axis=2)
    return found.transpose(2, 0, 1) if across else found


def _page(page: Any, pixels: np.ndarray[Any, Any], grey: bool = False) -> Page:
    """What the values mean. Minimum is white: turned round, of whole numbers of known size."""
    photometric, bits = int(page.photometric), int(page.bitspersample)
    if photometric in OTHERS:
        raise BadSample(f"TIFF of colour space {OTHERS[photometric]} with {bits} bits; expected grey, RGB or CMYK")
    whole = float(2**bits - 1) if pixels.dtype.kind == "u" and bits <= 16 else None
    if photometric == MIN_IS_WHITE and whole is not None:
        pixels = (int(whole) - pixels.astype(np.int64)).astype(pixels.dtype)
    elif photometric == MIN_IS_WHITE:
        altered(f"white is stored as the least value; {pixels.dtype} values are taken as they are")
    colour = photometric if photometric in (RGB, CMYK) else GREY
    extra = () if grey else tuple(int(one) for one in page.extrasamples)
    needed = {GREY: 1, RGB: 3, CMYK: 4}[colour]
    alphas = max(len(extra), pixels.shape[2] - needed) if colour != GREY else len(extra)
    return Page(_turned(pixels, page), whole, colour, alphas, bool(extra) and extra[0] in (1, 2))


def _turned(pixels: np.ndarray[Any, Any], page: Any) -> np.ndarray[Any, Any]:
    """As the orientation tag says, which Pillow follows in TIFF of 8 bits."""
    tag = page.tags.get(274)
    way = 1 if tag is None else int(tag.value)
    if way in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if way in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if way in (2, 3, 6, 7) else pixels


def _pixels(raw: bytes, page: Any, byteorder: str) -> np.ndarray[Any, Any]:
    """``[H, W, S]``. tifffile reads what is stored plainly or by zlib; the rest needs libtiff, which comes with Pillow."""
    try:
        found = np.asarray(page.asarray())
        if page.planarconfig == 2 and found.ndim == 3:
            found = found.transpose(1, 2, 0)
        if found.ndim not in (2, 3):
            raise BadSample(f"TIFF of shape {found.shape} is no picture")
        return found[:, :, None] if found.ndim == 2 else found
    except BadSample:
        raise
    except Exception as error:
        if page.dtype is not None and "imagecodecs" not in str(error) and not isinstance(error, NotImplementedError):
            raise
        if page.imagedepth != 1 or len({page.bitspersample}) != 1:
            raise
        try:
            return _by_libtiff(raw, page, byteorder)
        except Exception:
            name = getattr(page.compression, "name", page.compression)
            raise BadSample(f"TIFF compressed by {name} needs imagecodecs; pip install imagecodecs") from None


def _by_libtiff(raw: bytes, page: Any, byteorder: str) -> np.ndarray[Any, Any]:
    """Strips and tiles unpacked one by one as bytes, of which numbers are made here."""
    planar = int(page.planarconfig) == 2 and int(page.samplesperpixel) > 1
    samples = 1 if planar else int(page.samplesperpixel)
    height, width = int(page.imagelength), int(page.imagewidth)
    tall, wide = (int(page.tilelength), int(page.tilewidth)) if page.is_tiled else (min(int(page.rowsperstrip), height), width)
    down, across = -(-height // tall), -(-width // wide)
    out: np.ndarray[Any, Any] | None = None
    for i, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        plane, (row, column) = i // (down * across), divmod(i % (down * across), across)
        rows = tall if page.is_tiled else min(tall, height - row * tall)
        line = -(-wide * samples * int(page.bitspersample) // 8)
        packed = raw[offset : offset + count]
        block = _numbers(
            _unpacked(packed, int(page.compression), line, rows, int(page.fillorder)), page, byteorder, samples, wide
        )
        if out is None:
            out = np.zeros((height, width, int(page.samplesperpixel)), block.dtype)
        place = out[row * tall : row * tall + rows, column * wide : column * wide + wide]
        part = block[: place.shape[0], : place.shape[1]]
        place[:, :, plane if planar else 0 :][:, :, : part.shape[2]] = part
    assert out is not None
    return out


def _unpacked(packed: bytes, compression: int, line: int, rows: int, fill: int) -> np.ndarray[Any, Any]:
    """uint8 ``[rows, line]``: a TIFF of one strip of 8-bit grey is put round the bytes, and Pillow opens it."""
    tags = [
        (256, line), (257, rows), (258, 8), (259, compression), (262, 1), (266, fill), (273, 8), (277, 1), (278, rows),
        (279, len(packed)),
    ]  # fmt: skip
    body = packed + b"\0" * (len(packed) % 2)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    file = struct.pack("<2sHI", b"II", 42, 8 + len(body)) + body + struct.pack("<H", len(tags)) + entries + bytes(4)
    with Pillow.open(io.BytesIO(file)) as picture:
        return np.asarray(picture).reshape(rows, line)


def _numbers(bytes_: np.ndarray[Any, Any], page: Any, byteorder: str, samples: int, wide: int) -> np.ndarray[Any, Any]:
    """``[rows, wide, samples]`` of rows of bytes, the predictor undone."""
    bits, rows, kind = int(page.bitspersample), len(bytes_), {1: "u", 2: "i", 3: "f"}[int(page.sampleformat)]
    if bits % 8 or bits == 24:
        digits = np.unpackbits(bytes_, axis=1)[:, : wide * samples * bits].reshape(rows, wide, samples, bits)
        return (digits @ (1 << np.arange(bits - 1, -1, -1, dtype=np.uint32))).astype(np.uint16 if bits <= 16 else np.uint32)
    size = bits // 8
    if int(page.predictor) == FLOATING:
        summed = bytes_.reshape(rows, -1, samples).cumsum(axis=1, dtype=np.uint8).reshape(rows, size, -1)
        found = np.ascontiguousarray(summed.transpose(0, 2, 1)).view(f">{kind}{size}")
        return found.reshape(rows, wide, samples).astype(f"{kind}{size}")
    plain = np.ascontiguousarray(bytes_).view(f"{byteorder}u{size}").reshape(rows, wide, samples).astype(f"u{size}")
    if int(page.predictor) == HORIZONTAL:
        plain = plain.cumsum(axis=1, dtype=plain.dtype)
    return plain.view(f"{kind}{size}")
