"""Tables in text files: cells of CSV and TSV files, and what a column of labels says."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from maskedmod.errors import UserError

ENDINGS = (".csv", ".tsv", ".tab", ".csv.gz", ".tsv.gz", ".tab.gz")
NO_NUMBER = frozenset({"", "na", "n/a", "nan", "none", "null"})
"""Cells that stand for a missing number, in any case."""
UTF16 = (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks of UTF-16, which Excel calls Unicode text."""


@dataclass
class Sheet:
    """``names`` of the columns, ``rows`` of cells; ``places``: their numbers in the file, and ``blank`` those of blank lines."""

    path: str
    names: list[str]
    rows: list[list[str]]
    places: Sequence[int]
    blank: list[int]

    def cells(self, column: str) -> list[str]:
        """The cells of a column. UserError where several have this name."""
        if (count := self.names.count(column)) > 1:
            raise UserError(f"{self.path} has {count} columns called {column!r}; expected a name of its own")
        place = self.names.index(column)
        return [row[place] for row in self.rows]


def read_table(path: Path, delimiter: str | None) -> Sheet:
    """A table. UserError names the row that has another number of cells."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(f"data path {path} {what}; expected a file ending in {', '.join(ENDINGS)}")
    if delimiter is None:
        delimiter = usual_delimiter(path)
    elif len(delimiter) != 1:
        raise UserError(f"data.delimiter={delimiter!r}: expected one character")
    csv.field_size_limit(1 << 30)
    try:
        with opened(path) as file:
            lines = csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""), delimiter=delimiter)
            names = [name.strip() for name in next(lines, [])]
            rows = list(lines)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: byte {error.object[error.start]:#04x} at place {error.start}") from None
    except (OSError, EOFError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if not names:
        raise UserError(f"{path} is empty; expected a line of column names and rows")
    if len(names) == 1:
        rows = [row or [""] for row in rows]
    for number, row in enumerate(rows):
        if row and len(row) != len(names):
            raise UserError(f"{path} row {number} has {len(row)} cells, the line of column names has {len(names)}")
    places = [number for number, row in enumerate(rows) if row]
    blank = [number for number, row in enumerate(rows) if not row]
    return Sheet(str(path), names, [rows[number] for number in places], places, blank)


def opened(path: Path) -> IO[bytes]:
    """The bytes of a file, plain or gzip by its name, at their start. UserError for one in UTF-16."""
    file: Any = gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb")  # noqa: SIM115
    if file.read(2) in UTF16:
        file.close()
        raise UserError(f"{path} is UTF-16, expected UTF-8: save it as CSV UTF-8")
    file.seek(0)
    return file  # type: ignore[no-any-return]


def usual_delimiter(path: Path) -> str:
    """By the name of the file: tab for ``.tsv`` and ``.tab``, else a comma."""
    return "\t" if path.name.removesuffix(".gz").lower().endswith((".tsv", ".tab")) else ","


def delimiter_of(path: Path) -> str:
    """The usual one where the first line has it, else a semicolon or tab that it has."""
    with opened(path) as file:
        first = file.readline().split(b"\r", 1)[0].decode("utf-8", "replace")
    usual = usual_delimiter(path)
    return usual if usual in first else next((sign for sign in ";\t" if sign in first), usual)


def labels_of(cells: list[str]) -> list[Any]:
    """Numbers where all that are not missing are numbers (None where missing), else the words (None where empty)."""
    words = [cell.strip() or None for cell in cells]
    numbers = [None if word is None or word.lower() in NO_NUMBER else word for word in words]
    if any(numbers):
        for kind in (int, float):
            try:
                return [None if word is None else kind(word) for word in numbers]
            except ValueError:
                continue
    return list(words)
