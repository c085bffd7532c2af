"""From a record to pixels: image files, arrays and tensors become ``[C, H, W]``, uint8 wherever nothing is lost by it."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import UnidentifiedImageError
from torch import Tensor

from maskedmod.core.modality import BadSample, altered

from .deep import channels_of
from .pnm import read_pnm
from .tiff import MIN_IS_WHITE, read_tiff

MODES = {1: ("L", "1"), 3: ("RGB",), 4: ("RGBA", "CMYK")}
"""Pillow's modes that have a number of channels already (1-bit images become 0 and 255)."""

CONVERTIBLE = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, zlib.error, struct.error)
"""What Pillow raises for files that are cut off or altered."""

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def decode(data: Any, channels: int, convert: bool, least: tuple[int, int] | None) -> Tensor:
    """Pixels ``[C, H, W]`` of a path, the bytes of a file, a PIL image, a numpy array or a tensor.

    8-bit images give uint8; those of 9 to 16 bits float32 in 0..1 (divided by what their bits or their header call the largest
    value, 65535 of 16 bits); floats stay as they are. ``convert``: colour modes of
    image files are turned into ``channels`` (1 or 3); arrays never are. ``least``: image files larger than this on both axes are
    reduced, antialiased, to the smallest size that covers it. Raises BadSample with what is wrong.
    """
    if isinstance(data, Tensor | np.ndarray):
        return _from_array(data, channels)
    if isinstance(data, Pillow.Image):
        try:
            return _from_picture(data, channels, convert, least)
        except BadSample:
            raise
        except DAMAGED as error:
            raise BadSample(f"the image is damaged, cut off or closed: {error}") from None
    if not isinstance(data, str | Path | bytes | bytearray | memoryview):
        raise BadSample(f"{type(data).__name__} is no image: expected a path, bytes, an array, a tensor or a PIL image")
    if isinstance(data, str | Path):
        suffix = Path(data).suffix.lower()
        if suffix in (".npy", ".npz"):
            return _from_array(_numpy_file(data), channels)
        if suffix == ".pt":
            return _from_array(_tensor_file(data), channels)
        try:
            data = Path(data).read_bytes()
        except OSError as error:
            raise BadSample(f"the file cannot be opened: {error.strerror}") from None
    if not len(data):
        raise BadSample("the file is empty (0 bytes)")
    if bytes(data[:6]) == b"\x93NUMPY":
        return _from_array(_numpy_file(io.BytesIO(data)), channels)
    return _from_file(bytes(data), channels, convert, least)


def _from_file(raw: bytes, channels: int, convert: bool, least: tuple[int, int] | None) -> Tensor:
    """An image file; TIFF with more than 8 bits or more bands than Pillow knows, PGM and PPM whose maximum is not 255 are read
    here, so that no value is lost."""
    tiff = raw[:4] in TIFF
    if (deep := read_pnm(raw)) is not None:
        return channels_of(deep, channels, convert)
    try:
        with Pillow.open(io.BytesIO(raw)) as picture:
            if not (tiff and _deep_tiff(picture)):
                return _from_picture(picture, channels, convert, least)
    except BadSample:
        raise
    except UnidentifiedImageError:
        if not tiff:
            raise BadSample(f"not an image file (it begins with {raw[:8]!r})") from None
    except Pillow.DecompressionBombError as error:
        raise BadSample(f"the image is too large to be read safely: {error}") from None
    except DAMAGED as error:
        raise BadSample(f"the image file is damaged or cut off: {error}") from None
    return channels_of(read_tiff(raw, channels), channels, convert)


def _from_picture(picture: Pillow.Image, channels: int, convert: bool, least: tuple[int, int] | None) -> Tensor:
    if picture.mode.startswith("I;16") or (picture.mode == "I" and getattr(picture, "format", None) in ("PNG", "PPM")):
        return _grey(_sixteen(picture), channels, convert)  # Pillow's I of PGM counts to 65535, whatever the file's maximum is
    if picture.mode in ("I", "F"):
        return _grey(np.asarray(picture).astype(np.float32), channels, convert)
    if "16B" in _raw_mode(picture) and not convert:
        raise BadSample("16-bit colour would be read with 8 bits; save it as TIFF or .npy, or allow it with convert=true")
    if picture.mode not in MODES.get(channels, ()):
        bands = len(picture.getbands())
        if not convert or channels not in (1, 3) or picture.mode not in CONVERTIBLE:
            raise BadSample(f"image mode {picture.mode} has {bands} channels, expected {channels}")
    if "16B" in _raw_mode(picture):
        altered("16-bit colour read with 8 bits")
    if getattr(picture, "is_animated", False):
        altered("only the first of its pictures used")
    _draft(picture, channels, least)
    mode = MODES[channels][0] if channels in (1, 3) else picture.mode
    if picture.mode != mode:
        altered(f"{picture.mode} converted to {mode}" + (", transparency dropped" if _transparent(picture, mode) else ""))
        picture = picture.convert(mode)
    picture = _reduce(picture, least)
    pixels = np.asarray(picture)
    return torch.from_numpy(np.array(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1), np.uint8, order="C"))


def _sixteen(picture: Pillow.Image) -> np.ndarray:
    """uint16 of a grey picture, as floats in 0..1 where a TIFF says that fewer bits are used or that white is the least value."""
    pixels = np.asarray(picture).astype(np.uint16)
    tags: Any = getattr(picture, "tag_v2", {})
    bits = tags.get(258, (16,))[0]
    values = pixels if bits == 16 else pixels.astype(np.float32) / (2**bits - 1)
    return values if tags.get(262, 1) != MIN_IS_WHITE else (65535 if bits == 16 else 1) - values


def _grey(pixels: np.ndarray, channels: int, convert: bool) -> Tensor:
    """A deep grey picture ``[H, W]``; three equal channels where RGB is asked for, as with 8 bits."""
    found = _from_array(pixels, 1 if convert and channels == 3 else channels)
    return found.expand(channels, -1, -1).contiguous()


def _transparent(picture: Pillow.Image, mode: str) -> bool:
    return "A" not in mode and ("A" in picture.mode or "transparency" in picture.info)


def _draft(picture: Pillow.Image, channels: int, least: tuple[int, int] | None) -> None:
    """Let the JPEG decoder skip detail that would be scaled away (by 2, 4 or 8), several times faster."""
    factor = _factor(picture.height, picture.width, least)
    if getattr(picture, "format", None) == "JPEG" and factor < 0.5 and picture.mode in ("L", "RGB"):
        picture.draft(picture.mode, (max(1, int(picture.width * factor)), max(1, int(picture.height * factor))))


def _reduce(picture: Pillow.Image, least: tuple[int, int] | None) -> Pillow.Image:
    factor = _factor(picture.height, picture.width, least)
    if factor >= 1:
        return picture
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    return picture.resize(size, Pillow.Resampling.BICUBIC, reducing_gap=3.0)


def _factor(height: int, width: int, least: tuple[int, int] | None) -> float:
    return 1.0 if least is None else max(least[0] / height, least[1] / width)


def _from_array(data: np.ndarray | Tensor, channels: int) -> Tensor:
    """Arrays are taken as they are, or not at all. The channel axis is the one that has ``channels`` entries, where both could be
    the last one of a numpy array and the first one of a tensor; two axes are one channel."""
    if isinstance(data, Tensor):
        data = data.detach().cpu()
        data = data.float() if data.dtype == torch.bfloat16 else data  # a type that numpy has not
    array = data.numpy() if isinstance(data, Tensor) else data
    if array.ndim == 2:
        array = array[None]
    elif array.ndim == 3:
        first, last = array.shape[0] == channels, array.shape[2] == channels
        if last and not (first and isinstance(data, Tensor)):
            array = array.transpose(2, 0, 1)
    if array.ndim != 3 or array.shape[0] != channels:
        found = min(array.shape[0], array.shape[-1]) if array.ndim == 3 else 0
        has = f"has {found} channels" if found else "is no image"
        raise BadSample(f"array of shape {tuple(data.shape)} {has}, expected {channels} (first or last axis)")
    if 0 in array.shape:
        raise BadSample(f"array of shape {tuple(data.shape)} is empty")
    if array.dtype == np.uint8:
        return torch.from_numpy(np.array(array, order="C"))
    if array.dtype == np.uint16:
        return torch.from_numpy(array.astype(np.float32) / 65535)
    if array.dtype.kind != "f":
        raise BadSample(f"array of {array.dtype}: expected uint8, uint16 or floats")
    pixels = torch.from_numpy(np.array(array, np.float32, order="C"))
    if not bool(torch.isfinite(pixels).all()):
        raise BadSample(f"{int((~torch.isfinite(pixels)).sum())} of {pixels.numel()} values are NaN or infinite")
    return pixels


def _numpy_file(file: Any) -> np.ndarray:
    try:
        found = np.load(file, allow_pickle=False)
        if isinstance(found, np.lib.npyio.NpzFile):
            if len(found.files) != 1:
                raise BadSample(f".npz file with {len(found.files)} arrays ({', '.join(found.files[:5])}), expected one")
            return found[found.files[0]]
        return found
    except BadSample:
        raise
    except (ValueError, EOFError, KeyError, OSError) as error:
        raise BadSample(f"not a readable array file: {error}") from None


def _tensor_file(file: Any) -> Tensor:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BadSample(f"not a readable tensor file: {type(error).__name__}") from None
    if not isinstance(found, Tensor):
        raise BadSample(f"the file holds a {type(found).__name__}, expected one tensor")
    return found


def _raw_mode(picture: Pillow.Image) -> str:
    """How the file stores its pixels, where Pillow tells: ``RGB;16B`` is 16 bits a channel, read with 8."""
    tiles = getattr(picture, "tile", None) or []
    return str(tiles[0][3]) if tiles and len(tiles[0]) > 3 else ""


def _deep_tiff(picture: Pillow.Image) -> bool:
    bits = getattr(picture, "tag_v2", {}).get(258, (8,))
    return max(bits if isinstance(bits, tuple) else (bits,)) > 8
