"""Tables of edges of other programs: comments above, any delimiter, with or without column names, with or without row numbers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from maskedmod.data.tables.sheet import Sheet, opened, usual_delimiter
from maskedmod.errors import UserError

COMMENTS = ("#", "%", "//")
"""Beginnings of lines that are no edges: of SNAP and NetworkX, of KONECT and Matrix Market."""
ENDS = (
    ("source", "target"), ("from", "to"), ("src", "dst"), ("src", "dest"), ("source", "destination"), ("fromnode", "tonode"),
    ("fromnodeid", "tonodeid"), ("fromid", "toid"), ("sourceid", "targetid"), ("sourcenode", "targetnode"), ("id1", "id2"),
    ("node1", "node2"), ("nodea", "nodeb"), ("nodeid1", "nodeid2"), ("u", "v"), ("i", "j"), ("head", "tail"), ("start", "end"),
    ("protein1", "protein2"), ("proteina", "proteinb"), ("gene1", "gene2"), ("genea", "geneb"), ("user1", "user2"),
    ("citing", "cited"), ("follower", "followee"), ("sender", "receiver"), ("subject", "object"), ("parent", "child"),
    ("person1", "person2"), ("vertex1", "vertex2"), ("a", "b"), ("x", "y"),
)  # fmt: skip
"""Names of the two ends, small letters and digits alone. Single letters may as well be names of nodes."""
INDEX = ("", "index", "idx", "id", "row", "rowid", "rownames", "unnamed0", "edge", "edgeid", "eid", "no", "nr")
"""Names of a column that numbers the rows, where it does."""


def read_edges(
    path: Path, delimiter: str | None, header: bool | None, columns: tuple[str, str] | None, note: Callable[[str], None]
) -> Sheet:
    """The table with column names; a table without such has ``column 1`` and so on. ``delimiter``, ``header``: None finds out.
    ``note`` is told what was taken for what. UserError for a file that cannot be read, rows of unequal width, and a first line
    that may be either names or an edge."""
    if not path.is_file():
        raise UserError(f"data path {path} {'is a folder' if path.is_dir() else 'does not exist'}; expected a table of edges")
    try:
        with opened(path) as file:
            lines = io.TextIOWrapper(file, "utf-8-sig", newline=None).read().split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: byte {error.object[error.start]:#04x} at place {error.start}") from None
    except (OSError, EOFError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    first = next((i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith(COMMENTS)), len(lines))
    if first == len(lines):
        raise UserError(f"{path} is empty; expected rows with the two ends of an edge")
    sign = delimiter if delimiter is not None else _delimiter(path, lines[first])
    if len(sign) != 1:
        raise UserError(f"data.delimiter={delimiter!r}: expected one character; a blank stands for any number of blanks and tabs")
    rows, places, blank = _rows(lines, first, sign, path)
    if above := sum(bool(line.strip()) for line in lines[:first]):
        note(f"{path}: {above} lines of comments above the edges left out")
    names = [cell.strip() for cell in rows[0]]
    if header is None:
        header = _names_columns(names, rows[1:], columns, path, note)
    if not header:
        names = _told(lines[:first], len(names)) or [f"column {i}" for i in range(1, len(names) + 1)]
        note(f"{path}: no line of column names; the first line is an edge")
        return _sheet(path, names, rows, places, blank)
    if len(rows) > 1 and len(rows[1]) == len(names) + 1:
        names = ["", *names]  # R's write.table numbers the rows and has no name for that
    return _sheet(path, names, rows[1:], [place - 1 for place in places[1:]], [place - 1 for place in blank])


def ends_of(sheet: Sheet, note: Callable[[str], None]) -> tuple[str, str]:
    """The two columns that name the ends: of a known pair of names, else the first two that neither number the rows nor have no
    name. UserError where there are no two."""
    plain = {_plain(name): name for name in reversed(sheet.names)}
    for one, other in ENDS:
        if one in plain and other in plain:
            return plain[one], plain[other]
    left = [name for name in sheet.names if name]
    if len(left) > 2 and sheet.names[0] == left[0] and _plain(left[0]) in INDEX and _numbers_rows(sheet.cells(left[0])):
        note(f"{sheet.path}: column {left[0]} numbers the rows and is no end of an edge; data.columns says another")
        left = left[1:]
    if len(left) < 2:
        has = f"one column, {left[0]!r}" if left else "no column with a name"
        raise UserError(f"{sheet.path} has {has}; expected two that name the ends of edges (data.delimiter says what parts them)")
    return left[0], left[1]


def first_named(sheet: Sheet) -> str:
    """The first column that has a name."""
    return next((name for name in sheet.names if name), sheet.names[0])


def _delimiter(path: Path, line: str) -> str:
    """The usual one of the file's name where the line has it, else another that it has; a blank where there is none."""
    usual = usual_delimiter(path)
    return next((sign for sign in (usual, "\t", ",", ";", "|") if sign in line.strip()), " ")


def _rows(lines: list[str], first: int, sign: str, path: Path) -> tuple[list[list[str]], list[int], list[int]]:
    """Cells of the rows from line ``first`` on, the numbers of their lines counted from it, and those of blank lines. A line of
    comment among the rows is passed over."""
    part = [("" if line.lstrip().startswith(COMMENTS) and i > first else line) for i, line in enumerate(lines) if i >= first]
    csv.field_size_limit(1 << 30)
    try:
        cells = [line.split() for line in part] if sign == " " else list(csv.reader(part, delimiter=sign))
    except csv.Error as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    places = [i for i, row in enumerate(cells) if any(cell.strip() for cell in row)]
    blank = [i for i, row in enumerate(cells[: places[-1] + 1]) if not any(cell.strip() for cell in row)]
    return [cells[i] for i in places], places, blank


def _names_columns(
    names: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[str] | None, path: Path, note: Callable[[str], None]
) -> bool:
    """Whether the first line holds column names. It does where they are those of ends, or one is empty, or numbers follow a word;
    it does not where it has a number in a column of words or its ends are ends of other edges."""
    plain = [_plain(name) for name in names]
    if columns is not None and set(columns) <= set(names):
        return True
    if "" in names or any(one in plain and other in plain for one, other in ENDS if len(one) > 1):
        return True
    if rows and len(rows[0]) == len(names) + 1:
        return True
    later = [{row[i] for row in rows if i < len(row)} for i in range(len(names))]
    numeric = [all(map(_number, cells)) and bool(cells) for cells in later]
    if any(not _number(name) and of for name, of in zip(names, numeric, strict=True)):
        return True
    known = {cell.strip() for cells in later[:2] for cell in cells}
    if any(name in known for name in names[:2]) or any(map(_number, names[2:])):
        return False
    if all(map(_number, names[:2])):
        if [*names] == [str(i) for i in range(len(names))] and rows:  # what pandas calls columns without names
            raise UserError(
                f"{path} begins with {', '.join(names[:3])}: column names or an edge? say data.header=true or data.header=false"
            )
        return False
    note(f"{path}: the first line, {', '.join(names[:3])}, is taken for column names; data.header=false where it is an edge")
    return True


def _told(comments: Sequence[str], count: int) -> list[str]:
    """Column names from the last comment, as of SNAP, where it has as many words as there are columns."""
    words = comments[-1].strip().lstrip("#%/").replace(",", " ").split() if comments else []
    return words if len(words) == count == len(set(words)) and not any(map(_number, words)) else []


def _sheet(path: Path, names: list[str], rows: list[list[str]], places: list[int], blank: list[int]) -> Sheet:
    for row, place in zip(rows, places, strict=True):
        if len(row) != len(names):
            raise UserError(f"{path} row {place} has {len(row)} cells, expected {len(names)}")
    return Sheet(str(path), names, rows, places, blank)


def _numbers_rows(cells: Sequence[str]) -> bool:
    return any([cell.strip() for cell in cells] == [str(i + first) for i in range(len(cells))] for first in (0, 1))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
