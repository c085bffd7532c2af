"""CSV and TSV tables with one sequence a row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.core.modality import Modality, Record
from maskedmod.data.columns import label_column, signal_column
from maskedmod.data.sources import VALIDATION, Records, Source, Split, split_by_hash
from maskedmod.data.tables.sheet import labels_of, read_table
from maskedmod.errors import UserError, unknown


class Csv(Source):
    """Rows of a CSV or TSV file with a line of column names: proteins or molecules as text. Also ``.gz``.

    ``column`` and ``label_column`` default to the usual names. ``label_columns``: several labels a row, each 0, 1, another number
    or empty (missing): a list of names, or ``numbers`` for all other columns that hold numbers alone. Labels that are all
    numbers become numbers; an empty cell is no label, nor is ``NA``, ``NaN``, ``none`` or ``null`` among
    numbers. ``delimiter``: by the name of the file, tab for ``.tsv`` and ``.tab``, else a comma.
    Validation rows, by the first rule that applies: those of ``val_path``; rows whose cell in ``split_column`` is validation,
    val, valid, dev or test, the first of these that occurs (or ``val_value``), while rows with train or another word train; else
    a share ``val_fraction`` by a hash of the row's text, so that equal sequences stay together.
    Rows are named ``file.csv row N``, counted from 0 below the column names. A blank line counts as a row: of a single column it
    is an empty cell, of several it has none and is left out and told. The file's two or three columns are kept in memory.
    """

    def __init__(
        self,
        path: str,
        val_path: str | None = None,
        column: str | None = None,
        label_column: str | None = None,
        label_columns: str | tuple[str, ...] | None = None,
        delimiter: str | None = None,
        split_column: str | None = None,
        val_value: str | None = None,
        val_fraction: float = 0.05,
    ) -> None:
        super().__init__()
        self.path, self.val_path, self.column, self.label_column = path, val_path, column, label_column
        self.label_columns = label_columns
        self.delimiter, self.split_column, self.val_value = delimiter, split_column, val_value
        self.val_fraction = val_fraction
        self._splits: dict[Split, CsvRecords] | None = None

    def records(self, split: Split, modality: Modality) -> Records:
        """Records of a split. Raises UserError when there is no file, no such column, several of its
        name, or a row of another width."""
        if self._splits is None:
            self._splits = self._collect(modality)
            train, val = self._splits["train"], self._splits["val"]
            self.note(f"{self.path}: {len(train)} rows to train on, {len(val)} to validate (column {train.column})")
        return self._splits[split]

    def everything(self, modality: Modality) -> Sequence[Record]:
        """Every row in their order, whatever would train or validate. UserError as for ``records``."""
        return self._open(self.path, modality)

    def _collect(self, modality: Modality) -> dict[Split, CsvRecords]:
        whole = self._open(self.path, modality)
        if self.val_path is not None:
            return {"train": whole, "val": self._open(self.val_path, modality)}
        if self.split_column is None:
            train, val = split_by_hash(whole.texts, self.val_fraction)
            return {"train": whole.subset(train), "val": whole.subset(val)}
        words = [word.strip().lower() for word in whole.parts]
        wanted = self.val_value.lower() if self.val_value else next((name for name in VALIDATION if name in words), None)
        held = [i for i, word in enumerate(words) if word == wanted]
        if not held or len(held) == len(words):
            found = ", ".join(sorted(set(whole.parts))[:6])
            raise UserError(
                f"{self.path}: column {self.split_column} says {found}; expected train and one of {', '.join(VALIDATION)}"
            )
        other = [i for i, word in enumerate(words) if word != wanted and (word not in VALIDATION or self.val_value)]
        if left := len(words) - len(held) - len(other):
            self.note(f"{self.path}: {left} rows of other splits than train and {wanted} are not used")
        return {"train": whole.subset(other), "val": whole.subset(held)}

    def _open(self, path: str, modality: Modality) -> CsvRecords:
        if not modality.text:
            raise UserError("data=csv gives text, which this modality does not read; use a protein, molecule or text recipe")
        sheet = read_table(Path(path), self.delimiter)
        names = sheet.names
        if sheet.blank:
            self.note(f"{path}: {len(sheet.blank)} blank lines left out, the first one is row {sheet.blank[0]}")
        column = signal_column(names, self.column, modality, path)
        others = [name for name in names if name not in (column, self.split_column)]
        label = None if self.label_columns is not None else label_column(others, self.label_column, path)
        if self.split_column is not None and self.split_column not in names:
            raise unknown("column", self.split_column, names, f"in {path}")

        def cells(name: str | None) -> list[str]:
            return [] if name is None else sheet.cells(name)

        labels = labels_of(cells(label))
        if self.label_columns is not None:
            chosen = others if self.label_columns == "numbers" else _chosen(self.label_columns, others, path)
            labels = _several({name: labels_of(cells(name)) for name in chosen}, self.label_columns == "numbers", path)
        return CsvRecords(path, column, cells(column), labels, cells(self.split_column), places=sheet.places)


class CsvRecords(Sequence[Record]):
    """Rows of a file: the texts, their labels and what their split column says (both may be empty). ``places``: their numbers in
    the file. ``rows``: which of them, by their place among the texts; None: all."""

    def __init__(
        self,
        path: str,
        column: str,
        texts: list[str],
        labels: list[Any],
        parts: list[str],
        places: Sequence[int],
        rows: Sequence[int] | None = None,
    ) -> None:
        self.path, self.column, self.texts, self.labels, self.parts = path, column, texts, labels, parts
        self.places = places
        self.rows: Sequence[int] = range(len(texts)) if rows is None else rows

    def subset(self, rows: Sequence[int]) -> CsvRecords:
        return CsvRecords(self.path, self.column, self.texts, self.labels, self.parts, self.places, rows)

    @cached_property
    def lengths(self) -> np.ndarray[Any, Any]:
        """Characters of every row's text, int64 ``[n]``."""
        return np.array([len(self.texts[row]) for row in self.rows], np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self.rows):
            raise IndexError(index)
        row = self.rows[index]
        return Record(self.texts[row], f"{self.path} row {self.places[row]}", self.labels[row] if self.labels else None)


def _chosen(wanted: str | tuple[str, ...], names: Sequence[str], path: str) -> list[str]:
    columns = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in columns:
        if name not in names:
            raise unknown("column", name, names, f"in {path}")
    return columns


def _several(columns: dict[str, list[Any]], numbers_alone: bool, path: str) -> list[Any]:
    """A list of labels for every row. With ``numbers_alone`` columns of words are passed over; else they are a UserError."""
    words = {name: next((cell for cell in cells if isinstance(cell, str)), None) for name, cells in columns.items()}
    if not numbers_alone and (wrong := next((name for name in columns if words[name] is not None), None)):
        raise UserError(f"{path}: column {wrong} of data.label_columns holds {words[wrong]!r}, expected numbers or empty cells")
    kept = [cells for name, cells in columns.items() if words[name] is None]
    if not kept:
        raise UserError(f"{path} has no column of numbers for data.label_columns")
    return [list(row) for row in zip(*kept, strict=True)]
