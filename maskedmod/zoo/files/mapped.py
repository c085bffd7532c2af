"""A file of weights as memory: tensors are views of the mapped file, so a checkpoint is never held twice."""

from __future__ import annotations

import math
import mmap
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.support.sizes import amount

REPEATED = 2**24
"""Most numbers of a tensor that repeats a smaller storage (stride 0): a small file must not become a large tensor."""


class Mapped:
    """The bytes of a file, mapped and private to this process: reading is lazy and writing never reaches the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        if self.size == 0:
            raise UserError(f"{path}: cut off or damaged: the file is empty")
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._bytes = torch.frombuffer(self._map, dtype=torch.uint8)

    def read(self, start: int, stop: int) -> bytes:
        """Bytes of the file, copied."""
        return self._map[start:stop]

    def stream(self) -> mmap.mmap:
        """The bytes as a file that is read from its beginning."""
        self._map.seek(0)
        return self._map

    def storage(self, start: int, count: int, dtype: torch.dtype, what: str) -> Tensor:
        """``count`` numbers that begin at byte ``start``, flat. A view where the start is aligned, else a copy. UserError when
        the file ends before them; nothing is allocated before that is known."""
        stop = start + count * dtype.itemsize
        if count < 0 or start < 0 or stop > self.size:
            raise UserError(
                f"{self.path}: {what} is declared with {amount(count * dtype.itemsize)}, the file has {amount(self.size)}; "
                "cut off or damaged"
            )
        piece = self._bytes[start:stop]
        return (piece if start % dtype.itemsize == 0 else piece.clone()).view(dtype)

    def release(self) -> None:
        """Let go of the pages that were read; they are read again when they are needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def strided(flat: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], what: str) -> Tensor:
    """The view of a flat storage that a file declares. ValueError when it reaches beyond the storage."""
    if len(size) != len(stride) or offset < 0 or min((*size, *stride), default=0) < 0:
        raise ValueError(f"{what} is declared with size {list(size)}, stride {list(stride)}, offset {offset}")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if math.prod(size) and last >= len(flat):
        raise ValueError(f"{what} is declared with size {list(size)}, {last + 1} numbers, its storage has {len(flat)}")
    if math.prod(size) > max(len(flat), REPEATED):
        raise ValueError(f"{what} is declared with size {list(size)}, more numbers than its storage has ({len(flat)})")
    return flat.as_strided(tuple(size), tuple(stride), flat.storage_offset() + offset)
