"""Files of safetensors: a length, a JSON header with type, shape and place of every tensor, the numbers.

The header is checked against the file before a tensor is made. Format: github.com/huggingface/safetensors, README.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.support import strict_json
from maskedmod.support.sizes import amount
from maskedmod.zoo.files.mapped import Mapped

TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2, "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8, "BOOL": torch.bool, "C64": torch.complex64,
}  # fmt: skip
DAMAGED = "cut off or damaged, not a whole safetensors file"


def read(path: Path) -> tuple[dict[str, Tensor], Mapped]:
    """Tensors by name, views of the mapped file. UserError when header and file contradict each other: a length beyond the end,
    a key twice, an unknown type, a place that does not fit the shape, places that overlap or leave gaps."""
    mapped = Mapped(path)
    if mapped.size < 8:
        raise UserError(f"{path}: {DAMAGED} ({mapped.size} bytes)")
    length = int.from_bytes(mapped.read(0, 8), "little")
    if length > min(mapped.size - 8, strict_json.MOST):
        raise UserError(f"{path}: {DAMAGED} (a header of {amount(length)} is declared, the file has {amount(mapped.size)})")
    header = strict_json.parse(mapped.read(8, 8 + length), f"{path}: {DAMAGED}; its header")
    header.pop("__metadata__", None)
    first, room = 8 + length, mapped.size - 8 - length
    places = {key: _place(path, key, entry, room) for key, entry in header.items()}
    end = 0
    for key, (_, _, start, stop) in sorted(places.items(), key=lambda item: item[1][2:]):
        if start != end:
            raise UserError(f"{path}: {DAMAGED} ({key} begins at byte {start}, the one before ends at {end})")
        end = stop
    if end != room:
        raise UserError(f"{path}: {DAMAGED} ({end} bytes of tensors are declared, {room} are there)")
    out = {}
    for key, (dtype, shape, start, _) in places.items():
        flat = mapped.storage(first + start, math.prod(shape), dtype, key)
        try:
            out[key] = flat.reshape(shape)
        except (RuntimeError, OverflowError):  # no numbers at all, but sizes beyond what an integer holds
            raise UserError(f"{path}: {key} is declared with shape {str(shape)[:80]}; {DAMAGED}") from None
    return out, mapped


def _place(path: Path, key: str, entry: Any, room: int) -> tuple[torch.dtype, list[int], int, int]:
    """Type, shape, first and last byte of one tensor."""
    try:
        name, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(isinstance(x, int) and not isinstance(x, bool) and x >= 0 for x in (*shape, start, stop))
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise UserError(f"{path}: {DAMAGED} ({key} has no dtype, shape and data_offsets)")
    if name not in TYPES:
        raise UserError(f"{path}: {key} is of type {name!r}; known are {', '.join(TYPES)}")
    declared = math.prod(shape) * TYPES[name].itemsize
    if declared > room or stop > room:
        raise UserError(f"{path}: {key} is declared with {amount(max(declared, stop))}, the file has {amount(room)}; {DAMAGED}")
    if stop - start != declared:
        raise UserError(f"{path}: {key} is {name} {shape}, {declared} bytes, but has {stop - start}; {DAMAGED}")
    return TYPES[name], list(shape), start, stop
