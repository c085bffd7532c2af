"""HDF5 files with arrays of samples, as point cloud benchmarks are handed out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.core.modality import Modality, Record
from maskedmod.data.files import files_at, parts_by_name
from maskedmod.data.sources import Records, Source, Split, expanded, split_by_hash
from maskedmod.errors import UserError
from maskedmod.support.compat import require

ENDINGS = (".h5", ".hdf5", ".hdf")


class Hdf5(Source):
    """Rows of the array ``data`` ``[N, ...]`` (ModelNet40, ScanObjectNN: clouds ``[N, 2048, 3]``), with their classes in the
    array ``label`` ``[N]`` or ``[N, 1]`` where there is one. ``path`` is a file, a glob or a folder. Needs h5py.

    ``names``: a text file, beside the data or at its own path, with the name of every class in a line. Validation rows: those of
    ``val_path``; else those of files whose name holds the word validation, val, valid, dev or test, beside others that hold
    train; else a share ``val_fraction`` by a hash of file name and row number. Rows are read when they are asked for.
    """

    def __init__(
        self,
        path: str,
        val_path: str | None = None,
        data: str = "data",
        label: str = "label",
        names: str | None = None,
        val_fraction: float = 0.05,
    ) -> None:
        super().__init__()
        self.path, self.val_path, self.data, self.label, self.names = path, val_path, data, label, names
        self.val_fraction = val_fraction
        self._splits: dict[Split, ArrayRecords] | None = None

    def records(self, split: Split, modality: Modality) -> Records:
        """Records of a split. Raises UserError when there is no file, no readable one, or no such array."""
        if self._splits is None:
            self._splits = self._collect()
            train, val = len(self._splits["train"]), len(self._splits["val"])
            self.note(f"{self.path}: {train} rows to train on, {val} to validate (array {self.data})")
        return expanded(self._splits[split], modality)

    def everything(self, modality: Modality) -> Sequence[Record]:
        """Every row of every file in their order, whatever would train or validate. UserError as for ``records``."""
        return expanded(self._open(_files(self.path, self.note)), modality)  # type: ignore[return-value]

    def _collect(self) -> dict[Split, ArrayRecords]:
        files = _files(self.path, self.note)
        if self.val_path is not None:
            return {"train": self._open(files), "val": self._open(_files(self.val_path, self.note))}
        if parts := parts_by_name(files, _holds, self.path, self.note):
            return {split: self._open(found) for split, found in parts.items()}
        rows = self._open(files)
        kept, held = split_by_hash([rows.name(i) for i in range(len(rows))], self.val_fraction)
        return {"train": rows.subset(kept), "val": rows.subset(held)}

    def _open(self, files: list[Path]) -> ArrayRecords:
        tables = [_table(file, self.data, self.label) for file in files]
        if self.names is not None:
            tables = [table.named(_names(self.names, table.path)) for table in tables]
        places = [(i, row) for i, table in enumerate(tables) for row in range(len(table))]
        if not places:
            raise UserError(f"{self.path}: the arrays called {self.data} have no row")
        return ArrayRecords(tables, self.data, places)


@dataclass(frozen=True)
class Table:
    """One file: its number of rows, and their labels where it has any."""

    path: Path
    rows: int
    labels: tuple[Any, ...] | None

    def __len__(self) -> int:
        return self.rows

    def named(self, names: list[str]) -> Table:
        """Numbers of classes replaced by their names. UserError for a number that has none."""
        if self.labels is None:
            raise UserError(f"{self.path}: names are given, and the file has no labels")
        if bad := [label for label in self.labels if not isinstance(label, int) or not 0 <= label < len(names)]:
            raise UserError(f"{self.path}: label {bad[0]} has no name, there are {len(names)}")
        return Table(self.path, self.rows, tuple(names[label] for label in self.labels))


@dataclass(frozen=True)
class Row:
    """A row that is read when somebody asks for its numbers: ``numpy.asarray(row)``."""

    path: Path
    array: str
    number: int

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.asarray(_kept(self.path, self.array)[self.number], dtype)


class ArrayRecords(Sequence[Record]):
    """Records of rows; ``places``: number of the file and of the row in it."""

    def __init__(self, tables: list[Table], array: str, places: list[tuple[int, int]]) -> None:
        self.tables, self.array, self.places = tables, array, places

    def subset(self, chosen: Sequence[int]) -> ArrayRecords:
        return ArrayRecords(self.tables, self.array, [self.places[i] for i in chosen])

    def __len__(self) -> int:
        return len(self.places)

    def name(self, index: int) -> str:
        """``file.h5 row 17``, rows counted from 0."""
        file, row = self.places[index]
        return f"{self.tables[file].path.name} row {row}"

    def __getitem__(self, index: Any) -> Any:
        file, row = self.places[index]
        table = self.tables[file]
        label = None if table.labels is None else table.labels[row]
        return Record(Row(table.path, self.array, row), f"{table.path} row {row}", label)


WHOLE_BYTES = 1 << 28
"""An array up to this size is read at once and kept: of a compressed one every row would cost a whole chunk."""
_KEPT: dict[tuple[int, Path, str], Any] = {}
"""Arrays, and open ones that are too large, by process: worker processes open their own."""


def _kept(path: Path, array: str) -> Any:
    key = (os.getpid(), path, array)
    if key not in _KEPT:
        found = require("h5py", "points").File(path, "r")[array]
        _KEPT[key] = found[()] if found.nbytes <= WHOLE_BYTES else found
    return _KEPT[key]


def _table(path: Path, data: str, label: str) -> Table:
    h5py = require("h5py", "points")
    try:
        with h5py.File(path, "r") as file:
            arrays = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
            if data not in arrays or arrays[data].ndim < 2:
                raise UserError(f"{path} has no array {data} of two axes or more; it has {', '.join(arrays) or 'none'}")
            rows = len(arrays[data])
            if label not in arrays:
                return Table(path, rows, None)
            found = arrays[label][()]
    except OSError as error:
        raise UserError(f"{path} is not a readable HDF5 file: {' '.join(str(error).split())}") from None
    found = found.reshape(-1) if found.size == rows else found
    if found.shape != (rows,):
        raise UserError(f"{path}: array {label} has the shape {found.shape}, array {data} {rows} rows")
    return Table(path, rows, tuple(x.decode("utf-8") if isinstance(x, bytes) else x for x in found.tolist()))


def _names(given: str, beside: Path) -> list[str]:
    path = next((path for path in (beside.parent / given, Path(given)) if path.is_file()), None)
    if path is None:
        raise UserError(f"data.names={given}: no such file, nor beside {beside}")
    return path.read_text(encoding="utf-8-sig").splitlines()


def _holds(path: Path, word: str) -> bool:
    """Whether a file's name has the word, as in ``ply_data_train0.h5``; not as a part of another one."""
    return re.search(rf"(?<![a-z]){word}(?![a-z])", path.stem.lower()) is not None


def _files(path: str, note: Callable[[str], None] | None = None) -> list[Path]:
    """Files of a path, a glob or a folder, sorted. UserError when there is none."""
    found = files_at(path, lambda file: file.suffix.lower() in ENDINGS and not file.name.startswith("."), note)
    if not found:
        raise UserError(f"{path}: no HDF5 file; expected a file, a glob or a folder with {', '.join(ENDINGS)} files")
    return found
