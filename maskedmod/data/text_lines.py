"""Lines of text files, by number, without keeping a string for each."""

from __future__ import annotations

import gzip
import mmap
import os
import zlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.data.files import files_at
from maskedmod.errors import UserError

BLANKS = b" \t\r\v\f"
LF, CR = 10, 13
MARK, UTF16 = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks."""


class TextFile(Sequence[bytes]):
    """Lines of one file without their ends (``\\n``, ``\\r\\n``, ``\\r``) and without a byte order mark, plain or gzip. Plain
    files are mapped, not read: only the places of the lines are kept. ``blank``: numbers of the lines with nothing but blanks.
    UserError for a file that cannot be read."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._process, self._content = -1, None  # type: ignore[var-annotated]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_process": -1, "_content": None}

    @cached_property
    def ends(self) -> np.ndarray[Any, Any]:
        """One past the last byte of every line, its end not counted, int64 ``[n]``."""
        content = self._open()
        if content[:2] in UTF16:
            raise UserError(f"{self.path} is UTF-16, expected a text file in UTF-8 or ASCII")
        found, lone, chunk = [], [], 1 << 26
        for first in range(0, len(content), chunk):
            part = np.frombuffer(content[first : first + chunk + 1], np.uint8)  # a byte more, to see what follows the last one
            found.append(np.flatnonzero(part[:chunk] == LF) + first)
            lone.append(np.flatnonzero((part[:chunk] == CR) & (np.append(part[1:], 0)[:chunk] != LF)) + first)
        found += [_ends_of_lines(np.concatenate(lone), content)] if lone else []
        ends = np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)
        if len(content) > self._mark and (not len(ends) or ends[-1] != len(content) - 1):
            ends = np.append(ends, len(content))
        return ends.astype(np.int64)

    @cached_property
    def _mark(self) -> int:
        """Bytes of the byte order mark at the start, 0 or 3."""
        return 3 if self._open()[:3] == MARK else 0

    @cached_property
    def lengths(self) -> np.ndarray[Any, Any]:
        """Bytes of every line, int64 ``[n]``: at least as many as letters."""
        starts = np.concatenate([[self._mark], self.ends[:-1] + 1]) if len(self.ends) else self.ends
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
        start = int(self.ends[index - 1]) + 1 if index else self._mark
        return bytes(self._open()[start : int(self.ends[index])]).rstrip(b"\r")

    def _open(self) -> Any:
        """The bytes of the file, opened once by every process."""
        if self._content is None or self._process != os.getpid():
            self._process = os.getpid()
            try:
                self._content = self._read()
            except (OSError, EOFError, zlib.error) as error:
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


def _ends_of_lines(lone: np.ndarray[Any, Any], content: Any) -> np.ndarray[Any, Any]:
    """Of the places of CRs that no LF follows, those that end a line: all but the first ones of ``\\r\\r\\n``, which is one."""
    while len(lone):
        following = np.array([content[i + 1] == CR if i + 1 < len(content) else False for i in lone.tolist()])
        keep = ~following | np.isin(lone + 1, lone)
        if keep.all():
            break
        lone = lone[keep]
    return lone


def text_files(path: str, endings: tuple[str, ...], note: Callable[[str], None] | None = None) -> list[Path]:
    """``path``, or the files of a folder with one of the endings (also gzip), sorted, each once: ``note`` is told of
    further names. UserError when there is none."""
    where = Path(path)
    if where.is_file():
        return [where]
    if not where.is_dir():
        raise UserError(f"data path {path} does not exist; expected a file or a folder of files ending in {', '.join(endings)}")
    wanted = (*endings, *(f"{ending}.gz" for ending in endings))
    found = files_at(path, lambda file: file.name.lower().endswith(wanted), note)
    if not found:
        raise UserError(f"data folder {path} has no file ending in {', '.join(wanted)}")
    return found
