"""FASTA files: an index of where every record lies, made in one pass, and records read when they are asked for."""

from __future__ import annotations

import atexit
import gzip
import io
import os
import shutil
import tempfile
import zlib
from array import array
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.data.sources import share_of
from maskedmod.errors import UserError

LINE_ENDS = b"\r\n\t "


@dataclass
class FastaIndex:
    """Of n records: ``starts`` int64 ``[n + 1]`` place of the ``>``; ``lengths`` int64 ``[n]`` letters; ``shares`` float64
    ``[n]`` hash of the name in [0, 1). 24 bytes a record. ``path`` is the file, ``plain`` the same unpacked where it is packed.
    ``odd``: number of records by what is unusual in them. ``repeats``: of records whose name stood there before, how often."""

    path: Path
    plain: Path
    starts: np.ndarray[Any, Any]
    lengths: np.ndarray[Any, Any]
    shares: np.ndarray[Any, Any]
    odd: Counter[str] = field(default_factory=Counter)
    repeats: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.lengths)

    def read(self, index: int) -> tuple[str, str]:
        """Header without ``>`` and letters of one record, line ends and blanks taken out. Bytes that are no UTF-8 are read as
        Latin-1, so that nothing is lost."""
        start, end = int(self.starts[index]), int(self.starts[index + 1])
        with self.plain.open("rb") as file:
            file.seek(start)
            head, _, body = file.read(end - start).partition(b"\n")
        return header_text(head), _text(body.translate(None, LINE_ENDS))


def header_text(line: bytes) -> str:
    """Header of a record, from its line."""
    return _text(line.lstrip(b"\xef\xbb\xbf").removeprefix(b">").strip())


def name_of(header: str) -> str:
    """The first word of a header."""
    return header.split(maxsplit=1)[0] if header.strip() else ""


def index_file(path: Path) -> FastaIndex:
    """Read a file through once. UserError for one that is missing, damaged, or no FASTA; what is unusual is counted."""
    try:
        plain = _unpacked(path)
        try:
            with plain.open("rb") as file:
                return _scan(path, plain, file)
        except _LoneReturn:
            plain = _copy(path, path.stat().st_mtime_ns, True)
            with plain.open("rb") as file:
                return _scan(path, plain, file)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


class _LoneReturn(Exception):  # noqa: N818  (a signal, not an error)
    """A line ends with CR alone: the file is read from a copy whose lines end with LF."""


def _scan(path: Path, plain: Path, file: Any) -> FastaIndex:
    starts, lengths, shares = array("q"), array("q"), array("d")
    odd: Counter[str] = Counter()
    place, length, strange = 0, 0, set[str]()
    for number, line in enumerate(file):
        if number == 0 and line[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise UserError(f"{path} is UTF-16, expected a FASTA file in UTF-8 or ASCII")
        if b"\r" in line and b"\r" in line.rstrip(b"\r\n"):
            raise _LoneReturn
        if line[:1] == b">" or (number == 0 and line.startswith(b"\xef\xbb\xbf>")):
            if starts:
                _close(lengths, length, strange, odd)
            starts.append(place)
            shares.append(share_of(name_of(header_text(line))))
            length, strange = 0, _strange_header(line)
        elif letters := line.translate(None, LINE_ENDS):
            if not starts:
                raise UserError(f"{path} line {number + 1} is {letters[:20]!r}, expected a header that begins with >")
            length += len(letters)
            strange |= _strange(letters)
        place += len(line)
    if not starts:
        raise UserError(f"{path} is empty; expected FASTA records, each a line with > and its sequence")
    _close(lengths, length, strange, odd)
    starts.append(place)
    repeats = _repeats(np.array(shares))
    if repeats:
        odd["a name that stood there before"] = len(repeats)
    return FastaIndex(path, plain, np.array(starts), np.array(lengths), np.array(shares), odd, repeats)


def _repeats(shares: np.ndarray[Any, Any]) -> dict[int, int]:
    """Places of names that came before -> how many times."""
    order = np.argsort(shares, kind="stable")
    again = np.flatnonzero(shares[order][1:] == shares[order][:-1]) + 1
    found: dict[int, int] = {}
    for i in again.tolist():
        found[int(order[i])] = found.get(int(order[i - 1]), 0) + 1
    return found


def _close(lengths: Any, length: int, strange: set[str], odd: Counter[str]) -> None:
    lengths.append(length)
    odd.update(strange | ({"no sequence"} if length == 0 else set()))


KINDS = {
    "lower case letters": bytes(range(ord("a"), ord("z") + 1)),
    "stops (*)": b"*",
    "gaps": b"-.",
    "digits": b"0123456789",
}
USUAL = bytes(range(ord("A"), ord("Z") + 1))


def _strange(letters: bytes) -> set[str]:
    rest = letters.translate(None, USUAL)
    if not rest:
        return set()
    found = {name for name, kind in KINDS.items() if any(byte in kind for byte in rest)}
    if any(byte > 127 for byte in rest):
        found.add("bytes that are not ASCII in the sequence")
    return found


def _strange_header(line: bytes) -> set[str]:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return {"a header that is not UTF-8, read as Latin-1"}
    return set()


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _unpacked(path: Path) -> Path:
    """The file itself; of a compressed one, a copy in the folder for temporary files that goes when this process ends (a place
    in a compressed file cannot be jumped to)."""
    with path.open("rb") as file:
        return path if file.read(2) != b"\x1f\x8b" else _copy(path, path.stat().st_mtime_ns)


@lru_cache
def _copy(path: Path, changed: int, lines: bool = False) -> Path:
    """``lines``: with LF at the end of all of them."""
    handle, name = tempfile.mkstemp(prefix="maskedmod_", suffix=".fasta")
    owner = os.getpid()
    atexit.register(lambda: Path(name).unlink(missing_ok=True) if os.getpid() == owner else None)
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with os.fdopen(handle, "wb") as plain, gzip.open(path, "rb") if packed else path.open("rb") as given:
        if lines:
            with io.TextIOWrapper(given, "latin-1", newline=None) as text:  # type: ignore[arg-type]
                plain.writelines(line.encode("latin-1") for line in text)
        else:
            shutil.copyfileobj(given, plain)  # type: ignore[misc]
    return Path(name)
