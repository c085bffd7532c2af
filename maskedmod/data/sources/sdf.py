"""SDF files: molecules as connection tables, each with named properties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskedmod.core.modality import Modality, Record
from maskedmod.data.line_records import label_of
from maskedmod.data.sources import Records, Source, Split, split_by_hash
from maskedmod.data.text_lines import TextFile, text_files
from maskedmod.errors import UserError

ENDINGS = (".sdf", ".sd", ".mol")


class Sdf(Source):
    """Entries of an SDF file (``.sdf``, ``.sd``, ``.mol``, also ``.gz``), or of all such files in a folder.

    ``label``: name of the property that is the label, a number or a word; entries without it have none.
    Validation entries: those of ``val_path``; else a share ``val_fraction`` by a hash of file name and number (0: none). Keys are
    ``file.sdf entry 17 (name)``, counted from 1. Plain files are not held in memory.
    """

    def __init__(self, path: str, val_path: str | None = None, val_fraction: float = 0.05, label: str | None = None) -> None:
        super().__init__()
        self.path, self.val_path, self.val_fraction, self.label = path, val_path, val_fraction, label
        self._splits: dict[Split, SdfRecords] | None = None

    def records(self, split: Split, modality: Modality) -> Records:
        """Entries of a split in the order of the files. Raises UserError when there is no file, or no entry in it."""
        if not modality.text:
            raise UserError("data=sdf gives molecules, which this modality does not read; use modality=molecular_graph")
        if self._splits is None:
            whole = self._open(self.path)
            if self.val_path is not None:
                self._splits = {"train": whole, "val": self._open(self.val_path)}
            else:
                held = np.flatnonzero(whole.filled)
                _, val = split_by_hash([whole.name(i) for i in held.tolist()], self.val_fraction)
                rows = np.setdiff1d(np.arange(len(whole)), held[val])
                self._splits = {"train": whole.subset(rows), "val": whole.subset(held[val])}
            train_count, val_count = len(self._splits["train"]), len(self._splits["val"])
            self.note(f"{self.path}: {train_count} entries to train on, {val_count} to validate")
        return self._splits[split]

    def everything(self, modality: Modality) -> Sequence[Record]:
        """Every entry in order, whatever would train or validate."""
        return self._open(self.path)

    def _open(self, path: str) -> SdfRecords:
        files = [TextFile(file) for file in text_files(path, ENDINGS, self.note)]
        places = []
        for number, lines in enumerate(files):
            bounds = _entries(lines)
            places.append(np.column_stack([np.full(len(bounds), number), np.arange(len(bounds)), bounds]))
        found = np.concatenate(places)
        if not len(found):
            raise UserError(f"data path {path} has no entry in it")
        return SdfRecords(files, found, self.label)


class SdfRecords(Sequence[Record]):
    """Entries, read when asked for. ``places`` int64 ``[n, 4]``: number of the file, number of the entry in it, its first line
    and one past its last."""

    def __init__(self, files: list[TextFile], places: np.ndarray[Any, Any], label: str | None) -> None:
        self.files, self.places, self.label = files, places, label

    @property
    def filled(self) -> np.ndarray[Any, Any]:
        """bool ``[n]``: entries with a line in them. One without is a bad sample, and is never the one that validates."""
        found: np.ndarray[Any, Any] = self.places[:, 3] > self.places[:, 2]
        return found

    def subset(self, rows: Any) -> SdfRecords:
        return SdfRecords(self.files, self.places[np.asarray(rows, np.int64)], self.label)

    def name(self, index: int) -> str:
        """``file.sdf entry 17``, without the folder."""
        file, entry = self.places[index, :2].tolist()
        return f"{self.files[file].path.name} entry {entry + 1}"

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        file, entry, first, last = self.places[index].tolist()
        lines = [self.files[file][i].decode("utf-8", "replace") for i in range(first, last)]
        end = next((i for i, line in enumerate(lines, 1) if line.startswith("M  END")), len(lines))
        name = lines[0].strip() if lines else ""
        key = f"{self.files[file].path} entry {entry + 1}" + (f" ({name})" if name else "")
        return Record("\n".join([*lines[:end], ""]), key, self._label(lines[end:]))

    def _label(self, lines: list[str]) -> Any:
        """The line after ``>  <name>``."""
        for place, line in enumerate(lines[:-1]):
            if line.startswith(">") and f"<{self.label}>" in line:
                text = lines[place + 1].strip()
                return label_of(text) if text else None
        return None


def _entries(lines: TextFile) -> np.ndarray[Any, Any]:
    """First line and one past the last of every entry, int64 ``[n, 2]``; what follows the last ``$$$$`` is one too, unless it is
    blank. An entry may have no line at all."""
    short = np.flatnonzero((lines.lengths >= 4) & (lines.lengths <= 12))
    ends = [i for i in short.tolist() if lines[i].rstrip() == b"$$$$"]
    starts = [0, *(end + 1 for end in ends)]
    if not any(lines[i].strip() for i in range(starts[-1], len(lines))):
        starts.pop()
    else:
        ends.append(len(lines))
    return np.array([*zip(starts, ends, strict=True)], np.int64).reshape(-1, 2)
