"""From what people have to records: files, bytes, pictures, arrays, tensors, ``(wave, rate)``, and lists of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL.Image import Image as Picture
from torch import Tensor

from maskedmod.core.modality import BadSample, Modality, Record, changes
from maskedmod.data.batches import read as decode
from maskedmod.data.columns import cell
from maskedmod.data.sources import expanded
from maskedmod.errors import UserError, one_line
from maskedmod.support.devices import to_device

Wave: TypeAlias = tuple[np.ndarray[Any, Any] | Tensor, int]
Sample: TypeAlias = str | Path | bytes | Picture | np.ndarray[Any, Any] | Tensor | Wave | Mapping[str, Any] | Record
Input: TypeAlias = Sample | Iterable[Sample]
"""``Sample``: one of a modality's samples: a path, an open file or its bytes, a PIL image, an array or a tensor, ``(wave,
rate)``, a row or a cell of a Hugging Face data set, or a Record. ``Input``: one or many."""


def records(modality: Modality, data: Input) -> Iterator[Record]:
    """Records of one sample or of many, named by their place (``item 3``) or file. A recording that the adapter cuts into
    windows gives one record per window. UserError for a folder, which has no order that a list would have."""
    for place, sample in enumerate(_samples(modality, data)):
        if isinstance(sample, Mapping):
            sample = _column(modality, sample)
        record = sample if isinstance(sample, Record) else _record(sample, place, modality.text)
        yield from expanded([record], modality)


def read(modality: Modality, record: Record) -> Any:
    """Decode one record; UserError, in one line, names a sample that cannot be used, or is on another scale than the model's."""
    try:
        return decode(modality, record, None)
    except BadSample as error:
        raise UserError(f"{record.key}: {one_line(str(error))}") from None


def batches(modality: Modality, data: Input, size: int) -> Iterator[dict[str, Any]]:
    """Collated batches of at most ``size`` samples in their order. UserError when there is no sample. One warning says what
    reading changed (transparency dropped, channels averaged), and of how many samples."""
    if not isinstance(size, int) or size < 1:
        raise UserError(f"batch_size={size!r}: expected an integer of at least 1")
    waiting: list[Any] = []
    lost: list[str] = []
    seen = 0
    for record in records(modality, data):
        with changes() as heard:
            waiting.append(read(modality, record))
        lost += [f"{record.key}: {one_line('; '.join(heard))}"] if heard else []
        seen += 1
        if len(waiting) == size:
            yield modality.collate(waiting)
            waiting = []
    if waiting:
        yield modality.collate(waiting)
    if not seen:
        raise UserError("nothing was given: expected one sample or a list of them")
    if lost:
        warnings.warn(f"{len(lost)} of {seen} samples were changed in reading, first {lost[0]}", stacklevel=4)


def together(modality: Modality, data: Input, device: torch.device) -> dict[str, Any]:
    """All samples as one collated batch on the device. UserError as ``batches``."""
    (batch,) = batches(modality, list(records(modality, data)), 1 << 62)
    return to_device(batch, device)  # type: ignore[no-any-return]


def _samples(modality: Modality, data: Any) -> Iterable[Any]:
    if isinstance(data, Mapping):
        data = _column(modality, data)
    if getattr(getattr(data, "dtype", None), "kind", "") in ("U", "O") and getattr(data, "ndim", 0) == 1:
        return list(data)  # an array of paths, or of samples of unequal size
    several = modality.several(data)
    if several is not None:
        return several
    if _single(data):
        return [data]
    if isinstance(data, Iterable):
        return data
    raise UserError(f"{type(data).__name__} is no sample: expected a path, bytes, an array, a tensor, or a list of such")


def _column(modality: Modality, row: Mapping[str, Any]) -> Any:
    """The signal in a row, or rows, of a data set; a cell (``{"bytes", "path"}``, ``{"array", ...}``) and what is a sample as
    it is are left alone."""
    if any(name in row for name in ("bytes", "path", "array", *modality.wholes)):
        return row
    found = next((name for name in modality.columns if name in row), None)
    if found is None:
        usual = ", ".join(modality.columns)
        raise UserError(
            f"a dict with the keys {', '.join(map(str, row)) or 'none'}: none of them is {usual}, bytes, path or array"
        )
    return row[found]


def _single(data: Any) -> bool:
    """False for lists and other collections of samples. An array, a mapping or ``(array, rate)`` is one sample."""
    if isinstance(data, str | Path | bytes | bytearray | memoryview | Mapping | Record) or hasattr(data, "__array__"):
        return True
    if hasattr(data, "read"):
        return True
    if isinstance(data, tuple) and len(data) == 2:
        return hasattr(data[0], "__array__") and isinstance(data[1], int | float)
    return not isinstance(data, Iterable)


def _record(sample: Any, place: int, text: bool) -> Record:
    if text and isinstance(sample, str):
        return Record(sample, key=f"item {place}")
    if isinstance(sample, str | Path):
        path = Path(sample)
        if path.is_dir():
            raise UserError(f"{path} is a folder: give a list of its files, or use maskedmod embed input={path}")
        return Record(path, key=str(path))
    if hasattr(sample, "read"):
        return Record(sample.read(), key=str(getattr(sample, "name", f"item {place}")))
    return Record(cell(sample, None, text) if isinstance(sample, Mapping) else sample, key=f"item {place}")
