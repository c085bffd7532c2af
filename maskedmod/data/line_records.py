"""Text files with one sample a line: what the sources ``lines`` and ``smiles`` have in common."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from maskedmod.core.modality import Modality, Record
from maskedmod.data.sources import Records, Source, Split, expanded, split_by_hash
from maskedmod.data.text_lines import TextFile, text_files
from maskedmod.errors import UserError

Rest = Literal["none", "name", "label"]


class LineFiles(Source):
    """Base of sources of lines. ``endings`` of the files that are taken from a folder. Empty lines are left out and told."""

    endings: ClassVar[tuple[str, ...]] = (".txt",)

    def __init__(self, path: str, val_path: str | None, val_fraction: float, rest: Rest) -> None:
        super().__init__()
        self.path, self.val_path, self.val_fraction, self.rest = path, val_path, val_fraction, rest
        self._splits: dict[Split, LineRecords] | None = None

    def records(self, split: Split, modality: Modality) -> Records:
        """Records of a split in the order of files and lines; keys are ``file row 17``, counted from 1 as editors do."""
        if self._splits is None:
            self._splits = self._collect()
            train, val = len(self._splits["train"]), len(self._splits["val"])
            self.note(f"{self.path}: {train} lines to train on, {val} to validate")
        return expanded(self._splits[split], modality)

    def everything(self, modality: Modality) -> Sequence[Record]:
        """Every line in order, whatever would train or validate."""
        return self._open(self.path)

    def _collect(self) -> dict[Split, LineRecords]:
        every = self._open(self.path)
        if self.val_path is not None:
            return {"train": every, "val": self._open(self.val_path)}
        train, val = split_by_hash([every.name(i) for i in range(len(every))], self.val_fraction)
        return {"train": every.subset(train), "val": every.subset(val)}

    def _open(self, path: str) -> LineRecords:
        files = [TextFile(file) for file in text_files(path, self.endings, self.note)]
        places = []
        for number, lines in enumerate(files):
            rows = np.setdiff1d(np.arange(len(lines)), lines.blank)
            places.append(np.stack([np.full(len(rows), number), rows], axis=1))
            if len(lines.blank):
                self.note(f"{lines.path}: {len(lines.blank)} empty lines left out, the first one is row {lines.blank[0] + 1}")
        found = np.concatenate(places)
        if not len(found):
            raise UserError(f"data path {path} has no line with anything in it")
        return LineRecords(files, found, self.rest)


class LineRecords(Sequence[Record]):
    """Records of lines. ``places`` int64 ``[n, 2]``: number of the file, number of the line."""

    def __init__(self, files: list[TextFile], places: np.ndarray[Any, Any], rest: Rest) -> None:
        self.files, self.places, self.rest = files, places, rest

    @cached_property
    def lengths(self) -> np.ndarray[Any, Any]:
        """Bytes of every line, int64 ``[n]``: no fewer than its letters."""
        out = np.empty(len(self.places), np.int64)
        for number, lines in enumerate(self.files):
            mine = self.places[:, 0] == number
            out[mine] = lines.lengths[self.places[mine, 1]]
        return out

    def subset(self, rows: Sequence[int]) -> LineRecords:
        return LineRecords(self.files, self.places[np.asarray(rows, np.int64)], self.rest)

    def name(self, index: int) -> str:
        """``file.txt row 17``, without the folder."""
        file, row = self.places[index].tolist()
        return f"{self.files[file].path.name} row {row + 1}"

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        file, row = self.places[index].tolist()
        lines = self.files[file]
        key = f"{lines.path} row {row + 1}"
        try:
            text: str | bytes = lines[row].decode("utf-8")
        except UnicodeDecodeError:
            return Record(lines[row], key)  # the modality says that it is not UTF-8, and the policy for bad samples decides
        assert isinstance(text, str)
        if self.rest == "none":
            return Record(text, key)
        first, *others = text.split(maxsplit=1) or [""]  # of blanks that only Unicode knows nothing is left
        rest = others[0].strip() if others else None
        if self.rest == "name":
            return Record(first, f"{key} ({rest})" if rest else key)
        return Record(first, key, None if rest is None else label_of(rest))


def label_of(text: str) -> str | int | float:
    """A number where it is one."""
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() and "." not in text and "e" not in text.lower() else number
