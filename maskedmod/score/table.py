"""Files of scores: the wild type's FASTA, a table of mutants, the table with its scores, and what lies beside it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskedmod.data.fasta import index_file, name_of
from maskedmod.data.tables.sheet import NO_NUMBER, Sheet, read_table
from maskedmod.embed.parts import put
from maskedmod.errors import UserError, unknown

ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
MUTANT_COLUMNS = ("mutant", "mutants", "mutation", "mutations", "variant", "aaMutations")


@dataclass
class Table:
    """The table ``sheet`` as it stands in the file ``path``."""

    path: str
    sheet: Sheet
    names: list[str] = field(init=False)
    rows: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.names, self.rows = self.sheet.names, self.sheet.rows

    @classmethod
    def read(cls, path: str) -> Table:
        """A CSV or TSV file. UserError names what is wrong with it."""
        sheet = read_table(Path(path), None)
        if not sheet.rows:
            raise UserError(f"{path} has a line of column names and no row")
        return cls(path, sheet)

    def name(self, row: int) -> str:
        """How a row is called in messages; rows are counted from 0 below the column names, blank lines with them."""
        return f"{self.path} row {self.sheet.places[row]}"

    def with_column(self, cells: Sequence[str]) -> list[list[str]]:
        """The rows with one more cell each, and the blank lines in their places, so that an output lines up with its input."""
        out: list[list[str]] = [[] for _ in range(len(self.rows) + len(self.sheet.blank))]
        for place, row, more in zip(self.sheet.places, self.rows, cells, strict=True):
            out[place] = [*row, more]
        return out

    def column(self, wanted: str | None, usual: Sequence[str]) -> str:
        """``wanted``, or the first usual name that is there. UserError lists the columns."""
        if wanted is not None:
            if wanted not in self.names:
                raise unknown("column", wanted, self.names, f"in {self.path}")
            return wanted
        found = next((name for name in usual if name in self.names), None)
        if found is None:
            raise UserError(f"{self.path} has no column {', '.join(usual)}; it has {', '.join(self.names)}: say column=NAME")
        return found

    def cells(self, column: str) -> list[str]:
        """The cells of a column. UserError where several have this name."""
        return self.sheet.cells(column)

    def numbers(self, column: str) -> list[float]:
        """Cells as numbers, NaN where one is empty or NA. UserError names a row that holds something else."""
        found = []
        for row, cell in enumerate(self.cells(column)):
            try:
                found.append(math.nan if cell.strip().lower() in NO_NUMBER else float(cell))
            except ValueError:
                raise UserError(f"{self.name(row)}: {column} is {cell!r}, expected a number") from None
        return found


def wild_type(path: str, record: str | None) -> tuple[str, str]:
    """Name and letters of one record of a FASTA file. UserError when it has several and none is named, or several of the name."""
    if not Path(path).is_file():
        raise UserError(f"input {path} does not exist; expected a FASTA file with the wild type")
    index = index_file(Path(path))
    if record is None and len(index) > 1:
        first = ", ".join(name_of(index.read(i)[0]) for i in range(min(3, len(index))))
        raise UserError(f"{path} has {len(index)} records; say which is the wild type with record=NAME ({first}, ...)")
    found = [one for one in map(index.read, range(len(index))) if record is None or name_of(one[0]) == record]
    if not found:
        raise UserError(f"{path} has no record {record!r} among its {len(index)}")
    if len(found) > 1:
        raise UserError(f"{path} has {len(found)} records called {record!r}; the wild type needs a name of its own")
    header, letters = found[0]
    return name_of(header) or path, letters


def check_output(path: Path) -> None:
    """UserError, before any work, for a name of another ending."""
    if not path.name.lower().endswith(ENDINGS):
        raise UserError(f"output {path}: expected a name that ends in {', '.join(ENDINGS)}")
    path.parent.mkdir(parents=True, exist_ok=True)


def write(path: Path, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A CSV or TSV file, whole or not at all."""
    text = io.StringIO(newline="")
    plain = path.name.lower().removesuffix(".gz")
    writer = csv.writer(text, delimiter="\t" if plain.endswith(".tsv") else ",", lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    content = text.getvalue().encode()
    put(path, gzip.compress(content, mtime=0) if path.name.lower().endswith(".gz") else content)


def write_rejected(path: Path, rejected: dict[int, str], table: Table) -> None:
    """A JSON line for every row that has no score; no file when there is none, nor one of an earlier run."""
    if not rejected:
        path.unlink(missing_ok=True)
        return
    lines = [
        {"row": table.sheet.places[row], "key": table.name(row), "what": "rejected", "reason": why}
        for row, why in sorted(rejected.items())
    ]
    put(path, "".join(json.dumps(line) + "\n" for line in lines).encode())


def cell(value: float) -> str:
    """A number as it stands in a table: so many digits that it is read back the same in float32; empty for NaN."""
    return "" if math.isnan(value) else f"{value:.9g}"


def note(path: Path, about: dict[str, Any]) -> None:
    """The settings and counts beside an output."""
    put(path, (json.dumps(about, indent=1) + "\n").encode())
