"""FASTA files, plain or compressed, with one sequence a record."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.core.modality import Modality, Record
from maskedmod.data.fasta import FastaIndex, index_file, name_of
from maskedmod.data.files import begins, files_at, parts_by_name
from maskedmod.data.label_pattern import label_pattern
from maskedmod.data.residue_labels import ResidueLabels
from maskedmod.data.sources import Records, Source, Split, split_by_share
from maskedmod.errors import UserError

PLAIN = (".fasta", ".fa", ".faa", ".fas", ".fsa", ".seq")
ENDINGS = (*PLAIN, *(f"{ending}.gz" for ending in PLAIN))
GROUPLESS = "expected a regular expression with a group in brackets, which is the label"


class Fasta(Source):
    """Records of FASTA files, plain or gzip, sequences on one line or many. ``path`` is a file, a glob or a folder.

    Validation records, by the first rule that applies: those whose header matches the glob ``val_pattern`` (the rest trains),
    such as ``*SET=test*``; the files ``val_path``; in a folder, files whose name begins with validation, val, valid, dev or test
    beside others that begin with train; else a share ``val_fraction`` chosen by a hash of each record's name, so that records of
    one name stay together (0: none).
    ``label``: a regular expression searched for in the header, whose first group is the label, such as ``(\\w)\\.``; null: none.
    ``residues``: a FASTA file with a letter for every residue, which are then the labels; its headers too are looked through
    for ``val_pattern``. ``known``: another one, with 0 at residues whose label does not count. See ``ResidueLabels``.
    Files are read through once to find where records lie (24 bytes of memory each); what is unusual in them is counted and said.
    """

    def __init__(
        self,
        path: str,
        val_path: str | None = None,
        val_pattern: str | None = None,
        val_fraction: float = 0.05,
        label: str | None = None,
        residues: str | None = None,
        known: str | None = None,
    ) -> None:
        super().__init__()
        if (label is not None and residues is not None) or (known is not None and residues is None):
            raise UserError("data.label and data.residues are two kinds of labels, and data.known belongs to data.residues")
        self.residues, self.known = residues, known
        self.path, self.val_path, self.val_pattern, self.val_fraction = path, val_path, val_pattern, val_fraction
        self.label = None if label is None else label_pattern(label, GROUPLESS)
        self._splits: dict[Split, FastaRecords] | None = None

    def records(self, split: Split, modality: Modality) -> Records:
        """Records of a split. Raises UserError when there is no file, or one that is no FASTA."""
        if not modality.text:
            raise UserError("data=fasta gives letters, which this modality does not read; use recipe=esm2 or modality=protein")
        if self._splits is None:
            self._splits = self._collect()
            train, val = self._splits["train"], self._splits["val"]
            if not len(train):
                raise UserError(f"{self.path}: every record matches val_pattern={self.val_pattern}")
            self.note(f"{self.path}: {len(train)} records to train on, {len(val)} to validate")
        return self._splits[split]

    def everything(self, modality: Modality) -> Sequence[Record]:
        """Every record of every file in their order, whatever would train or validate. UserError as for ``records``."""
        return self._open(find(self.path, self.note))

    def _collect(self) -> dict[Split, FastaRecords]:
        files = find(self.path, self.note)
        if self.val_pattern is None and self.val_path is not None:
            return {"train": self._open(files), "val": self._open(find(self.val_path, self.note))}
        if self.val_pattern is None and (parts := parts_by_name(files, begins, self.path, self.note)):
            return {split: self._open(found) for split, found in parts.items()}
        whole = self._open(files)
        if self.val_pattern is None:
            train_rows, val_rows = split_by_share(
                np.concatenate([index.shares for index in whole.files]).tolist(), self.val_fraction
            )
            return {"train": whole.subset(train_rows), "val": whole.subset(val_rows)}
        held = [fnmatch(whole.header(i), self.val_pattern) for i in range(len(whole))]
        if not any(held):
            raise UserError(f"{self.path}: no header matches val_pattern={self.val_pattern}; one of them is {whole.header(0)}")
        rows = np.arange(len(whole))
        return {"train": whole.subset(rows[~np.array(held)].tolist()), "val": whole.subset(rows[held].tolist())}

    def _open(self, files: list[Path]) -> FastaRecords:
        indices = [index_file(file) for file in files]
        for index in indices:
            if index.odd:
                self.note(
                    f"{index.path}: of {len(index)} records, {', '.join(f'{n} with {what}' for what, n in index.odd.items())}"
                )
        return FastaRecords(indices, self.label, residues=self._residue_labels)

    @cached_property
    def _residue_labels(self) -> ResidueLabels | None:
        return None if self.residues is None else ResidueLabels(self.residues, self.known)


class FastaRecords(Sequence[Record]):
    """Records of files, read when asked for."""

    def __init__(
        self,
        files: list[FastaIndex],
        label: re.Pattern[str] | None,
        rows: Sequence[int] | None = None,
        residues: ResidueLabels | None = None,
    ) -> None:
        self.files, self.label, self.residues = files, label, residues
        self.offsets = np.cumsum([0, *(len(index) for index in files)])
        self.rows = range(int(self.offsets[-1])) if rows is None else np.asarray(rows, np.int64)

    def subset(self, rows: Sequence[int]) -> FastaRecords:
        return FastaRecords(self.files, self.label, rows, self.residues)

    @cached_property
    def lengths(self) -> np.ndarray[Any, Any]:
        """Letters of every record, int64 ``[n]``."""
        found: np.ndarray[Any, Any] = np.concatenate([index.lengths for index in self.files])[np.asarray(self.rows, np.int64)]
        return found

    def __len__(self) -> int:
        return len(self.rows)

    def header(self, index: int) -> str:
        """Header of a record without ``>``, with that of its residues' labels where it has such."""
        file, place = self._locate(index)
        header = file.read(place)[0]
        more = None if self.residues is None else self.residues.header(name_of(header), f"{file.path} record {name_of(header)}")
        return header if more is None else f"{header} {more}"

    def __getitem__(self, index: Any) -> Any:
        file, place = self._locate(index)
        header, letters = file.read(place)
        name = name_of(header) or f"number {place}"
        before = file.repeats.get(place, 0)
        key = f"{file.path} record {name}" + (f" ({before + 1})" if before else "")
        return Record(letters, key, self._label(header, key), {"length": len(letters), "header": header})

    def _label(self, header: str, key: str) -> Any:
        if self.residues is not None:
            return self.residues.of(name_of(header), key)
        found = None if self.label is None else self.label.search(header)
        return None if found is None else found.group(1)

    def _locate(self, index: int) -> tuple[FastaIndex, int]:
        if not 0 <= index < len(self.rows):
            raise IndexError(index)
        row = int(self.rows[index])
        file = int(np.searchsorted(self.offsets, row, side="right")) - 1
        return self.files[file], row - int(self.offsets[file])


def find(path: str, note: Callable[[str], None] | None = None) -> list[Path]:
    """Files of a path, glob or folder, sorted by name."""
    found = files_at(path, lambda file: file.name.lower().endswith(ENDINGS), note)
    if not found:
        what = f"has no file ending in {', '.join(PLAIN)} or these with .gz" if Path(path).is_dir() else "does not exist"
        raise UserError(f"data path {path} {what}; expected a FASTA file, a glob or a folder of such")
    return found
