"""Hugging Face datasets, downloaded or streamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.core.modality import Modality, Record
from maskedmod.data.columns import cell, label_column, signal_column
from maskedmod.data.sources import VALIDATION, Records, Source, Split, expanded, split_by_hash
from maskedmod.data.stream import RecordStream
from maskedmod.errors import UserError, one_line
from maskedmod.support.compat import require


class Hf(Source):
    """A data set of the package ``datasets``: ``path`` is its name on the hub, a builder (``parquet``, ``imagefolder``, with
    ``data_files`` or ``data_dir``), or a folder written by ``save_to_disk``; ``name`` the configuration.

    ``val_split`` defaults to validation, val, valid, dev or test, whichever exists first; without one, a share
    ``val_fraction`` of the training rows by a hash of the row number (downloaded) or no validation (streamed). Image and audio
    columns are handed over undecoded. ``streaming``: nothing is stored; the order is shuffled within ``buffer`` samples (and
    among shards), ``epoch_samples`` is the length of an epoch where the data set does not tell its size, and resuming reads
    past what was used.
    """

    def __init__(
        self,
        path: str,
        name: str | None = None,
        split: str = "train",
        val_split: str | None = None,
        streaming: bool = False,
        column: str | None = None,
        label_column: str | None = None,
        data_files: str | list[str] | dict[str, str] | None = None,
        data_dir: str | None = None,
        val_fraction: float = 0.05,
        buffer: int = 10_000,
        epoch_samples: int | None = None,
    ) -> None:
        super().__init__()
        self.path, self.name, self.streaming = path, name, streaming
        self.splits: dict[Split, str | None] = {"train": split, "val": val_split}
        self.column, self.label_column = column, label_column
        self.files = {"data_files": data_files, "data_dir": data_dir}
        self.val_fraction, self.buffer, self.epoch_samples = val_fraction, buffer, epoch_samples
        self._parts: dict[Split, Any] | None = None

    def records(self, split: Split, modality: Modality) -> Records:
        """Records of a split. Raises UserError when the data set, split or column cannot be found."""
        if self._parts is None:
            self._parts = self._load()
        part = self._parts[split]
        if part is None:
            return []
        where = f"{self.path} [{self.splits[split] or 'held-out rows of ' + str(self.splits['train'])}]"
        part, columns = self._undecoded(part, modality, where)
        if self.streaming:
            self.note(f"{where}: streamed, shuffled within {self.buffer} samples")
            return HfStream(part, columns, where, modality, self.buffer, self.epoch_samples if split == "train" else None)
        self.note(f"{where}: {len(part)} rows (column {columns[0]})")
        return expanded(HfRecords(part, columns, where, modality.text), modality)

    def _load(self) -> dict[Split, Any]:
        """Data sets of the two splits; None where there is no validation."""
        available = self._available()
        train, val = self.splits["train"], self.splits["val"]
        if val is None:
            val = next((name for name in VALIDATION if name in available and name != train), None)
            self.splits["val"] = val
        assert train is not None
        parts: dict[Split, Any] = {"train": self._part(train, available)}
        if val is not None:
            return {**parts, "val": self._part(val, available)}
        if self.streaming:
            self.note(f"{self.path}: no split to validate on; give data.val_split")
            return {**parts, "val": None}
        rows = parts["train"]
        train_rows, val_rows = split_by_hash([f"row {i}" for i in range(len(rows))], self.val_fraction)
        return {"train": rows.select(train_rows), "val": rows.select(val_rows) if val_rows else None}

    def _available(self) -> Any:
        """All splits by name, from disk or by ``load_dataset``."""
        datasets = require("datasets", "data")
        folder = Path(self.path)
        try:
            if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
                found = datasets.load_from_disk(self.path)
                found = found if isinstance(found, dict) else {"train": found}
                return {k: v.to_iterable_dataset() for k, v in found.items()} if self.streaming else found
            given = {key: value for key, value in self.files.items() if value is not None}
            return datasets.load_dataset(self.path, self.name, streaming=self.streaming, **given)
        except Exception as error:
            raise UserError(f"data set {self.path!r} cannot be loaded: {type(error).__name__}: {one_line(str(error))}") from None

    def _part(self, split: str, available: Any) -> Any:
        if split in available:
            return available[split]
        given = {key: value for key, value in self.files.items() if value is not None}
        try:
            return require("datasets", "data").load_dataset(self.path, self.name, split=split, streaming=self.streaming, **given)
        except Exception:
            raise UserError(f"data set {self.path!r} has no split {split!r}; it has {', '.join(available)}") from None

    def _undecoded(self, part: Any, modality: Modality, where: str) -> tuple[Any, tuple[str, str | None]]:
        """Only the signal and label columns, with decoding left to the modality."""
        names = list(part.column_names or [])
        column = signal_column(names, self.column, modality, where)
        label = label_column(names, self.label_column, where)
        part = part.select_columns([column] if label is None else [column, label])
        feature: Any = (part.features or {}).get(column)
        if hasattr(feature, "decode"):
            part = part.cast_column(column, type(feature)(decode=False))
        return part, (column, label)


class HfRecords(Sequence[Record]):
    """Rows of a data set on disk."""

    def __init__(self, part: Any, columns: tuple[str, str | None], where: str, text: bool = False) -> None:
        self.part, self.columns, self.where, self.text = part, columns, where, text

    @cached_property
    def lengths(self) -> np.ndarray[Any, Any]:
        """Characters of every record's text, int64 ``[n]``, from one pass over the column; a missing cell has none."""
        return np.array([len(text or "") for text in self.part[self.columns[0]]], np.int64)

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self.part):
            raise IndexError(index)
        return _record(self.part[index], self.columns, f"{self.where} row {index}", self.text)


class HfStream(RecordStream):
    """Rows of a streamed data set, in an order that depends on (seed, epoch) alone."""

    def __init__(
        self, part: Any, columns: tuple[str, str | None], where: str, modality: Modality, buffer: int, samples: int | None
    ) -> None:
        self.part, self.columns, self.where, self.modality, self.buffer = part, columns, where, modality, buffer
        self.samples = samples if samples is not None else self._told()

    def _told(self) -> int | None:
        """Number of rows, where the data set's own description tells it."""
        info = (self.part.info.splits or {}).get(str(self.part.split))
        return None if info is None or not info.num_examples else int(info.num_examples)

    def epoch(self, number: int, seed: int, shuffle: bool) -> Iterator[Record]:
        """Rows of an epoch; a key counts the rows in the order of this epoch."""
        part = self.part
        if shuffle:
            part = part.shuffle(seed=seed, buffer_size=self.buffer)
            part.set_epoch(number)
        for row, cells in enumerate(part):
            record = _record(cells, self.columns, f"{self.where} epoch {number} sample {row}", self.modality.text)
            yield from expanded([record], self.modality)


def _record(cells: dict[str, Any], columns: tuple[str, str | None], key: str, text: bool) -> Record:
    column, label = columns
    raw = cells[column]
    name = raw.get("path") if isinstance(raw, dict) else None
    return Record(cell(raw, None, text), f"{key} ({name})" if name else key, None if label is None else cells[label])
