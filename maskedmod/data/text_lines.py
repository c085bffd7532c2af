"""Lines of text files, by number, without keeping a string for each."""

from __future__ import annotations

import gzip
import mmap
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.errors import UserError

BLANKS = b" \t\r\v\f"


class TextFile(Sequence[bytes]):
    """Lines of one file without their ends (``\\n``, ``\\r\\n``), plain or gzip. Plain files are mapped, not read: only the
    places of the lines are kept. ``blank``: numbers of the lines with nothing but blanks. UserError for a file that cannot be
    read."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._process, self._content = -1, None  # type: ignore[var-annotated]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_process": -1, "_content": None}

    @cached_property
    def ends(self) -> np.ndarray[Any, Any]:
        """One past the last byte of every line, its end not counted, int64 ``[n]``."""
        content = self._open()
        found, chunk = [], 1 << 26
        for first in range(0, len(content), chunk):
            part = np.frombuffer(content[first : first + chunk], np.uint8)
            found.append(np.flatnonzero(part == 10) + first)
        ends = np.concatenate(found) if found else np.empty(0, np.int64)
        if len(content) and (not len(ends) or ends[-1] != len(content) - 1):
            ends = np.append(ends, len(content))
        return ends.astype(np.int64)

    @cached_property
    def lengths(self) -> np.ndarray[Any, Any]:
        """Bytes of every line, int64 ``[n]``: at least as many as letters."""
        starts = np.concatenate([[0], self.ends[:-1] + 1]) if len(self.ends) else self.ends
        return self.ends - starts

    @cached_property
    def blank(self) -> np.ndarray[Any, Any]:
        """Numbers of lines that hold nothing, from 0."""
        starts = self.ends - self.lengths
        content = np.frombuffer(self._open(), np.uint8)
        # only what begins with a blank is looked at further: most lines begin with something else
        empty = self.lengths == 0
        empty[~empty] = np.isin(content[starts[~empty]], np.frombuffer(BLANKS, np.uint8))
        return np.array([i for i in np.flatnonzero(empty).tolist() if not self[i].strip()], np.int64)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self.ends):
            raise IndexError(index)
        start = int(self.ends[index - 1]) + 1 if index else 0
        return bytes(self._open()[start : int(self.ends[index])]).rstrip(b"\r")

    def _open(self) -> Any:
        """The bytes of the file, opened once by every process."""
        if self._content is None or self._process != os.getpid():
            self._process = os.getpid()
            try:
                self._content = self._read()
            except (OSError, EOFError) as error:
                raise UserError(f"{self.path} cannot be read: {error}") from None
        return self._content

    def _read(self) -> Any:
        if self.path.suffix == ".gz":
            with gzip.open(self.path) as packed:
                return packed.read()
        if self.path.stat().st_size == 0:
            return b""
        with self.path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def text_files(path: str, endings: tuple[str, ...]) -> list[Path]:
    """``path``, or the files of a folder with one of the endings (also gzip), sorted. UserError when there is none."""
    where = Path(path)
    if where.is_file():
        return [where]
    if not where.is_dir():
        raise UserError(f"data path {path} does not exist; expected a file or a folder of files ending in {', '.join(endings)}")
    wanted = (*endings, *(f"{ending}.gz" for ending in endings))
    found = sorted(file for file in where.rglob("*") if file.is_file() and file.name.lower().endswith(wanted))
    if not found:
        raise UserError(f"data folder {path} has no file ending in {', '.join(wanted)}")
    return found
