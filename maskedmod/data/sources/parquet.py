"""Parquet tables with one sample a row."""

from __future__ import annotations

import bisect
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.core.modality import Modality, Record
from maskedmod.data.columns import cell, label_column, signal_column
from maskedmod.data.files import begins, files_at, parts_by_name
from maskedmod.data.sources import Records, Source, Split, expanded, split_by_hash
from maskedmod.errors import UserError
from maskedmod.support.compat import require

CACHE_BYTES = 1 << 29
"""Decoded row groups that one process keeps at most."""


class Parquet(Source):
    """Rows of Parquet files: a column of ``struct{bytes, path}`` (Hugging Face image and audio schema), of plain bytes, of paths,
    of lists of numbers, or of text (sequences). ``path`` is a file, a glob or a folder.

    Validation rows: those of ``val_path``; else, in a folder, files whose name begins with validation, val, valid, dev or test
    beside others that begin with train; else a share ``val_fraction`` of the rows by a hash of file name and row number.
    ``column`` and ``label_column`` default to the usual names. Rows are read row group by row group when they are asked for; a
    process keeps 512 MiB of groups, so a table that is larger should have row groups of a few hundred rows.
    """

    def __init__(
        self,
        path: str,
        val_path: str | None = None,
        column: str | None = None,
        label_column: str | None = None,
        val_fraction: float = 0.05,
    ) -> None:
        super().__init__()
        self.path, self.val_path, self.column, self.label_column = path, val_path, column, label_column
        self.val_fraction = val_fraction
        self._splits: dict[Split, RowRecords] | None = None

    def records(self, split: Split, modality: Modality) -> Records:
        """Records of a split. Raises UserError when there is no file, no readable one, or no such column."""
        if self._splits is None:
            self._splits = self._collect(modality)
            train, val = self._splits["train"], self._splits["val"]
            self.note(f"{self.path}: {len(train)} rows to train on, {len(val)} to validate (column {train.column})")
        return expanded(self._splits[split], modality)

    def everything(self, modality: Modality) -> Sequence[Record]:
        """Every row of every file in their order, whatever would train or validate. UserError as for ``records``."""
        return self._open(_files(self.path, self.note), modality)

    def _collect(self, modality: Modality) -> dict[Split, RowRecords]:
        files = _files(self.path, self.note)
        if self.val_path is not None:
            return {"train": self._open(files, modality), "val": self._open(_files(self.val_path, self.note), modality)}
        if parts := parts_by_name(files, begins, self.path, self.note):
            return {split: self._open(found, modality) for split, found in parts.items()}
        rows = self._open(files, modality)
        train_rows, val_rows = split_by_hash([rows.name(i) for i in range(len(rows))], self.val_fraction)
        return {"train": rows.subset(train_rows), "val": rows.subset(val_rows)}

    def _open(self, files: list[Path], modality: Modality) -> RowRecords:
        tables = [_table(file) for file in files]
        column = signal_column(tables[0].columns, self.column, modality, str(files[0]))
        label = label_column(tables[0].columns, self.label_column, str(files[0]))
        for table in tables:
            missing = [name for name in (column, label) if name is not None and name not in table.columns]
            if missing:
                raise UserError(f"{table.path} has no column {missing[0]}, which {files[0].name} has: {', '.join(table.columns)}")
        return RowRecords(tables, column, label, text=modality.text)


@dataclass(frozen=True)
class Table:
    """One file: its columns and the first row of each row group, with the number of rows as last entry."""

    path: Path
    columns: tuple[str, ...]
    starts: tuple[int, ...]


class RowRecords(Sequence[Record]):
    """Records of rows. Open files and cached row groups belong to a process: worker processes open their own."""

    def __init__(
        self, tables: list[Table], column: str, label: str | None, rows: Sequence[int] | None = None, text: bool = False
    ) -> None:
        self.tables, self.column, self.label, self.text = tables, column, label, text
        self.offsets = [0]
        for table in tables:
            self.offsets.append(self.offsets[-1] + table.starts[-1])
        self.rows: Sequence[int] = range(self.offsets[-1]) if rows is None else rows
        self._process, self._files, self._groups, self._bytes = -1, {}, OrderedDict(), 0  # type: ignore[var-annotated]

    def subset(self, rows: Sequence[int]) -> RowRecords:
        return RowRecords(self.tables, self.column, self.label, rows, self.text)

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_process": -1, "_files": {}, "_groups": OrderedDict(), "_bytes": 0}

    @cached_property
    def lengths(self) -> np.ndarray[Any, Any]:
        """Characters of every record's text, int64 ``[n]``, from one pass over the column; a missing cell has none."""
        compute, parquet = require("pyarrow.compute", "data"), require("pyarrow.parquet", "data")
        columns = [parquet.read_table(table.path, columns=[self.column]).column(self.column) for table in self.tables]
        counted = [compute.fill_null(compute.utf8_length(column), 0).to_numpy() for column in columns]
        return np.concatenate(counted).astype(np.int64)[np.asarray(self.rows)]

    def name(self, index: int) -> str:
        """``file.parquet row 17``, rows counted from 0."""
        file, row = self._locate(index)
        return f"{self.tables[file].path.name} row {row}"

    def __getitem__(self, index: Any) -> Any:
        file, row = self._locate(index)
        table = self.tables[file]
        group = bisect.bisect_right(table.starts, row) - 1
        cells = self._group(file, group).slice(row - table.starts[group], 1)
        label = None if self.label is None else cells.column(self.label)[0].as_py()
        data = cell(cells.column(self.column)[0].as_py(), table.path.parent, self.text)
        return Record(data, f"{table.path} row {row}", label)

    def _locate(self, index: int) -> tuple[int, int]:
        row = self.rows[index]
        file = bisect.bisect_right(self.offsets, row) - 1
        return file, row - self.offsets[file]

    def _group(self, file: int, group: int) -> Any:
        """A row group's two columns, from the cache or the file."""
        if self._process != os.getpid():
            self._process, self._files, self._groups, self._bytes = os.getpid(), {}, OrderedDict(), 0
        if (file, group) in self._groups:
            self._groups.move_to_end((file, group))
            return self._groups[file, group]
        if file not in self._files:
            self._files[file] = require("pyarrow.parquet", "data").ParquetFile(self.tables[file].path, memory_map=True)
        columns = [self.column] if self.label is None else [self.column, self.label]
        try:
            found = self._files[file].read_row_group(group, columns=columns, use_threads=False).combine_chunks()
        except Exception as error:
            raise UserError(f"{self.tables[file].path} row group {group} cannot be read, the file is damaged: {error}") from None
        self._groups[file, group] = found
        self._bytes += found.nbytes
        while self._bytes > CACHE_BYTES and len(self._groups) > 1:
            self._bytes -= self._groups.popitem(last=False)[1].nbytes
        return found


def _files(path: str, note: Callable[[str], None] | None = None) -> list[Path]:
    """Files of a path, glob or folder, sorted by name."""
    found = files_at(path, lambda file: file.match("*.parquet"), note)
    if not found:
        what = "has no file ending in .parquet" if Path(path).is_dir() else "does not exist"
        raise UserError(f"data path {path} {what}; expected a .parquet file, a glob or a folder of such")
    return found


def _table(path: Path) -> Table:
    parquet = require("pyarrow.parquet", "data")
    try:
        with parquet.ParquetFile(path, memory_map=True) as file:
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            columns = tuple(file.schema_arrow.names)
    except Exception as error:
        raise UserError(f"{path} is no readable Parquet file: {error}") from None
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    return Table(path, columns, tuple(starts))
