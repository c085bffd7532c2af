"""Records that can only be read one after another, and from the start of an epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from maskedmod.core.modality import Record


class RecordStream(ABC):
    """A stream of records without random access.

    ``samples``: number of records of an epoch, None when unknown. Two calls of ``epoch`` with the same arguments give the same
    records in the same order: resuming skips those already used.
    """

    samples: int | None = None

    @abstractmethod
    def epoch(self, number: int, seed: int, shuffle: bool) -> Iterator[Record]:
        """The records of an epoch, undecoded."""
