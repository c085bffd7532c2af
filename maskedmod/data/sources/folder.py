"""Files in a folder."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from maskedmod.core.modality import Modality, Record
from maskedmod.data.columns import label_column
from maskedmod.data.files import NOWHERE, places_of, tree_of
from maskedmod.data.label_pattern import label_pattern
from maskedmod.data.sources import VALIDATION, Records, Source, Split, expanded, split_by_hash
from maskedmod.data.tables.sheet import delimiter_of, labels_of, read_table
from maskedmod.errors import UserError

OTHERS = {".h5": "hdf5", ".hdf5": "hdf5", ".parquet": "parquet", ".csv": "csv", ".sdf": "sdf"}
"""Endings that other readers are for."""
ACCEPTED = "folder, none, FILE.csv"
"""What ``label`` may be beside a regular expression."""


class Folder(Source):
    """All files under ``path`` with one of the modality's endings, sorted by path. Hidden files are left out.

    Validation files, by the first rule that applies: names that match the glob ``val_pattern`` (the rest trains); the folder
    ``val_path``; a sub-folder ``train`` beside ``validation``, ``val``, ``valid``, ``dev`` or ``test``, also when every class
    has its own (``chair/train``, ``chair/test``, as ModelNet); else a share ``val_fraction`` chosen by a hash of each file's
    relative path (0: none).
    ``label``: ``folder`` (name of the folder a file lies in, above its ``train`` or ``test``), ``none``, a regular expression
    searched for in the file name, whose first group is the label, such as ``^(\\d)_``, or the name of a CSV file in ``path``
    with a column of file names (``filename``, ``file``, ``path`` or ``name``: relative to ``path``, or bare) and one of labels
    (``label``, ``category``, ``class``, ``target``): numbers where all of them are, no label where a cell is empty.
    Links are followed, and every file counts once, whatever it is also called: links to folders that were read already, further
    links to a file and hard links are left out and told. A file to train on that is also one to validate only validates.
    """

    def __init__(
        self,
        path: str,
        val_path: str | None = None,
        val_pattern: str | None = None,
        val_fraction: float = 0.05,
        label: str = "folder",
    ) -> None:
        super().__init__()
        self.path, self.val_path, self.val_pattern, self.val_fraction = Path(path), val_path, val_pattern, val_fraction
        self.label = _label(label, self.path)
        self._found: dict[Split, tuple[Path, list[str]]] | None = None

    def records(self, split: Split, modality: Modality) -> Records:
        """Records of a split, paths relative to the working directory as given. Raises UserError when there is no file."""
        if self._found is None:
            self._found = self._apart(self._collect(modality))
            train, val = (len(self._found[part][1]) for part in ("train", "val"))
            self.note(f"{self.path}: {train} files to train on, {val} to validate")
        root, names = self._found[split]
        return expanded(FileRecords(root, names, self.label), modality)

    def everything(self, modality: Modality) -> Sequence[Record]:
        """Every file under ``path`` in one list, whatever would train or validate. Raises UserError when there is none."""
        return FileRecords(self.path, self._list(self.path, modality), self.label)

    def _collect(self, modality: Modality) -> dict[Split, tuple[Path, list[str]]]:
        if self.val_pattern is not None:
            names = self._list(self.path, modality)
            val = [name for name in names if fnmatch(os.path.basename(name), self.val_pattern)]
            if not val or len(val) == len(names):
                which = "no" if not val else "every"
                raise UserError(f"{self.path}: {which} file matches val_pattern={self.val_pattern}; one of them is {names[0]}")
            held = set(val)
            return {"train": (self.path, [name for name in names if name not in held]), "val": (self.path, val)}
        if self.val_path is not None:
            val_root = Path(self.val_path)
            return {"train": (self.path, self._list(self.path, modality)), "val": (val_root, self._list(val_root, modality))}
        parts = self._sub_folders()
        if len(parts) == 2:
            train_root, val_root = parts
            return {"train": (train_root, self._list(train_root, modality)), "val": (val_root, self._list(val_root, modality))}
        root = parts[0] if parts else self.path
        names = self._list(root, modality)
        if not parts and (inner := self._by_class(names)):
            return {"train": (root, inner[0]), "val": (root, inner[1])}
        train, held_out = split_by_hash(names, self.val_fraction)
        return {"train": (root, [names[i] for i in train]), "val": (root, [names[i] for i in held_out])}

    def _apart(self, found: dict[Split, tuple[Path, list[str]]]) -> dict[Split, tuple[Path, list[str]]]:
        """Files that two folders share, by links or since one lies in the other, validate and do not train; where they share
        all of them, both do."""
        (root, names), (val_root, val_names) = found["train"], found["val"]
        if root == val_root and not set(names) & set(val_names):
            return found
        held = set(places_of(val_root / name for name in val_names)) - {NOWHERE}
        kept = [name for name, place in zip(names, places_of(root / name for name in names), strict=True) if place not in held]
        if kept and len(kept) < len(names):
            self.note(f"{root}: {len(names) - len(kept)} files are among those of {val_root} to validate, and do not train")
            return {"train": (root, kept), "val": found["val"]}
        if names and not kept:
            self.note(f"{root}: every file to train on is also one to validate")
        return found

    def _by_class(self, names: Sequence[str]) -> tuple[list[str], list[str]] | None:
        """The parts where every file lies in a folder ``train`` or one of validation within its class, else None."""
        by_part: dict[str, list[str]] = {}
        for name in names:
            by_part.setdefault(os.path.basename(os.path.dirname(name)), []).append(name)
        val = next((part for part in VALIDATION if part in by_part), None)
        if val is None or "train" not in by_part or not set(by_part) <= {"train", *VALIDATION}:
            return None
        if others := sorted(set(by_part) - {"train", val}):
            self.note(f"{self.path}: folders not used: {', '.join(f'*/{part}' for part in others)}")
        return by_part["train"], by_part[val]

    def _sub_folders(self) -> list[Path]:
        """Folders called train and validation; train alone when there is no other; none without it."""
        if not (self.path / "train").is_dir():
            return []
        found = [self.path / "train", *(self.path / name for name in VALIDATION if (self.path / name).is_dir())][:2]
        others = sorted(p.name for p in self.path.iterdir() if p.is_dir() and p not in found and not p.name.startswith("."))
        if others:
            self.note(f"{self.path}: folders not used: {', '.join(others)}")
        return found

    def _list(self, root: Path, modality: Modality) -> list[str]:
        """Relative paths of the files with a known ending, sorted."""
        endings = modality.extensions
        if not root.is_dir():
            what = "is a file" if root.exists() else "does not exist"
            raise UserError(f"data folder {root} {what}; expected a folder with {', '.join(endings)} files")
        tree = tree_of(root, lambda name: True)
        names = [name for name in tree.names if name.lower().endswith(endings)]
        others = Counter(_ending(name) for name in tree.names if not name.lower().endswith(endings))
        tree.again = [name for name in tree.again if name.lower().endswith(endings)]
        for line in tree.told():
            self.note(f"{root}: {line}")
        listed = ", ".join(f"{count} {ending}" for ending, count in sorted(others.items())[:8])
        if not names:
            rest = f"; it has {listed}" if others else "; it is empty"
            rest += "".join(f" (data={reader} reads {ending})" for ending, reader in OTHERS.items() if ending in others)
            raise UserError(f"data folder {root} has no file ending in {', '.join(endings)}{rest}")
        if others:
            self.note(f"{root}: files with other endings left out: {listed}")
        return names


class FileRecords(Sequence[Record]):
    """Records of files, made when asked for: a list of a million names is all that is kept."""

    def __init__(self, root: Path, names: list[str], label: str | re.Pattern[str] | dict[str, Any]) -> None:
        self.root, self.names, self.label = root, names, label

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        name = self.names[index]
        path = self.root / name
        return Record(path, str(path), self._label(name))

    def _label(self, name: str) -> Any:
        if isinstance(self.label, re.Pattern):
            found = self.label.search(os.path.basename(name))
            return None if found is None else found.group(1)
        if isinstance(self.label, dict):
            return self.label.get(name.replace(os.sep, "/"), self.label.get(os.path.basename(name)))
        above, folder = os.path.split(os.path.dirname(name))
        if above and folder in ("train", *VALIDATION):
            folder = os.path.basename(above)
        return folder if self.label == "folder" and folder else None


def _label(text: str, root: Path) -> str | re.Pattern[str] | dict[str, Any]:
    if text in ("folder", "none"):
        return text
    if text.endswith(".csv"):
        return _listed(root / text)
    groupless = f"accepted are {ACCEPTED}, or a regular expression with a group in brackets"
    return label_pattern(text, groupless, f"; also accepted: {ACCEPTED}")


def _listed(path: Path) -> dict[str, Any]:
    """File name -> label, as a CSV file says: numbers where all labels are, None where a cell is empty. UserError for a file that
    is named with two labels."""
    if not path.is_file():
        raise UserError(f"data.label: {path} does not exist; expected a CSV file in the data folder")
    sheet = read_table(path, delimiter_of(path))
    names = [column for column in ("filename", "file", "path", "name") if column in sheet.names]
    column = label_column(sheet.names, None, str(path))
    if not names or column is None:
        raise UserError(f"{path}: expected a column of file names and one of labels; it has {', '.join(sheet.names)}")
    found: dict[str, Any] = {}
    for name, label, row in zip(sheet.cells(names[0]), labels_of(sheet.cells(column)), sheet.places, strict=True):
        name = name.strip().replace("\\", "/").removeprefix("./")
        if found.setdefault(name, label) != label:
            raise UserError(f"{path} row {row}: {name} is labelled {label!r}, above it {found[name]!r}")
    return found


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower() or os.path.basename(name)
