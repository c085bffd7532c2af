"""Sources of records. One per file; the file name is the source's name in a recipe (``data: {folder: {path: ...}}``)."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from maskedmod.core.modality import BadSample, Modality, Record
from maskedmod.core.unexpected import as_bad_sample
from maskedmod.data.stream import RecordStream

Split = Literal["train", "val"]
Records = Sequence[Record] | RecordStream

VALIDATION = ("validation", "val", "valid", "dev", "test")
"""Names of what holds validation data (folder, file, split) beside train; the first one found is used."""


class Source(ABC):
    """Base of sources, built as ``block(**arguments)``. ``notes``: lines that say what was found and what was left out; complete
    once ``records`` was called for both splits."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @abstractmethod
    def records(self, split: Split, modality: Modality) -> Records:
        """Records of a split, in an order that does not change; empty when there is no validation data.
        Raises UserError when there is nothing to train on."""

    def note(self, line: str) -> None:
        """Add a line, once."""
        if line not in self.notes:
            self.notes.append(line)


def share_of(name: str) -> float:
    """Hash of a name as a number in [0, 1)."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big") / 2**64


def split_by_hash(names: Sequence[str], fraction: float) -> tuple[list[int], list[int]]:
    """Indices of the training and of the validation part, decided by a hash of each name alone: a sample stays where it is when
    others come and go. At least one is held out when ``fraction`` > 0 and there are two or more; one always trains."""
    return split_by_share([share_of(name) for name in names], fraction)


def split_by_share(values: Sequence[float], fraction: float) -> tuple[list[int], list[int]]:
    """The same from each name's ``share_of``."""
    if not 0.0 <= fraction < 1.0:
        raise ValueError(f"val_fraction={fraction}: must be at least 0 and below 1")
    val = {i for i, v in enumerate(values) if v < fraction}
    if fraction > 0 and not val and len(values) > 1:
        val = {min(range(len(values)), key=values.__getitem__)}
    if len(val) == len(values):
        val.discard(max(range(len(values)), key=values.__getitem__, default=-1))
    return [i for i in range(len(values)) if i not in val], sorted(val)


def expanded(records: Sequence[Record], modality: Modality) -> Sequence[Record]:
    """Records with those replaced that hold several samples (windows of a long recording), where the modality knows such.
    One that cannot be opened stays as it is: the loader reports it by its policy when it reads it."""
    if type(modality).expand is Modality.expand:
        return records
    found: list[Record] = []
    for record in records:
        try:
            with as_bad_sample():
                found.extend(modality.expand(record))
        except BadSample:
            found.append(record)
    return found
