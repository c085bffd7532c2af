"""Pictures of more than 8 bits: from what is stored to the channels that are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskedmod.core.modality import BadSample, altered

from .tiff import CMYK, GREY, RGB, Page

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R 601, as Pillow turns RGB into grey."""
NAMES = {GREY: "grey", RGB: "RGB", CMYK: "CMYK"}


def channels_of(page: Page, channels: int, convert: bool) -> Tensor:
    """``[C, H, W]``: uint8 where 8 bits are stored, float32 in 0..1 of whole numbers up to 16 bits, other values as they are.
    With ``convert`` grey, RGB and CMYK become grey or RGB, and what is no colour is left out, as with 8 bits. BadSample where the
    channels do not fit."""
    pixels = page.pixels
    if page.whole == 255:
        values: np.ndarray[Any, Any] = pixels.astype(np.uint8)
    else:
        values = pixels.astype(np.float32) if page.whole is None else pixels.astype(np.float32) / np.float32(page.whole)
    if values.dtype != np.uint8 and not (finite := np.isfinite(values)).all():
        raise BadSample(f"{int((~finite).sum())} of {values.size} values are NaN or infinite")
    count, colours = values.shape[2], values.shape[2] - page.alphas
    if count == channels and not (page.colour == CMYK and channels == 3):
        return _tensor(values)
    wanted = {GREY: 1, RGB: 3, CMYK: 4}[page.colour]
    if not convert or channels not in (1, 3) or colours != wanted:
        hint = "; modality.channels says how many" if channels not in (1, 3) or colours != wanted else "; convert=true turns them"
        raise BadSample(f"TIFF of {count} channels, expected {channels}{hint}")
    return _tensor(_converted(values, page, colours, channels))


def _converted(values: np.ndarray[Any, Any], page: Page, colours: int, channels: int) -> np.ndarray[Any, Any]:
    eight = values.dtype == np.uint8
    if eight:
        values = values.astype(np.float32) / 255
    names, parts = f"{NAMES[page.colour]}{'A' if page.see_through else ''}", []
    if page.see_through:
        parts.append("transparency dropped")
    if more := page.alphas - page.see_through:
        parts.append(f"{more} further bands left out")
    found = values[:, :, :colours]
    if page.colour == CMYK:
        found = (1 - found[:, :, :3]) * (1 - found[:, :, 3:])
    if found.shape[2] == 3 and channels == 1:
        found = (found @ LUMA)[:, :, None]
    elif found.shape[2] == 1 and channels == 3:
        found = np.repeat(found, 3, axis=2)
    if parts or page.colour != GREY:  # three equal channels are nothing lost, and are not told of grey PNG either
        altered(", ".join([f"{names} converted to {NAMES[RGB if channels == 3 else GREY]}", *parts]))
    return np.rint(found * 255).astype(np.uint8) if eight else found


def _tensor(values: np.ndarray[Any, Any]) -> Tensor:
    if 0 in values.shape:
        raise BadSample(f"TIFF of shape {values.shape} is empty")
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))
