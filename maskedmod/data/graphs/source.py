"""What sources of graphs share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from maskedmod.core.modality import Modality, Record
from maskedmod.data.graphs.graph import told
from maskedmod.data.graphs.node_features import all_with_degrees
from maskedmod.data.sources import Records, Source, Split, split_by_hash
from maskedmod.errors import UserError


class GraphSource(Source):
    """Base: one graph trains as a whole, and validation is the same graph under masks of its own; of several a share
    ``val_fraction`` by a hash of the last part of their key validates. ``max_degree``: of nodes that carry their degree."""

    def __init__(self, max_degree: int, val_fraction: float = 0.0) -> None:
        super().__init__()
        if max_degree < 1:
            raise UserError(f"data.max_degree={max_degree}: expected 1 or more")
        self.max_degree, self.val_fraction = max_degree, val_fraction
        self._records: list[Record] | None = None

    @abstractmethod
    def _read(self) -> list[Record]:
        """All graphs in their order. UserError names what cannot be used."""

    def records(self, split: Split, modality: Modality) -> Records:
        """Graphs of a split, or the one graph in both. UserError names the file and row that does not fit."""
        every = self.everything(modality)
        if len(every) == 1:
            return list(modality.divide(every[0]))
        train, val = split_by_hash([Path(record.key).name for record in every], self.val_fraction)
        chosen = train if split == "train" else val
        return [part for i in chosen for part in modality.divide(every[i])]

    def everything(self, modality: Modality) -> Sequence[Record]:
        """All graphs, whole, in their order. UserError as for ``records``."""
        if self._records is None:
            self._records = self._read()
        return self._records

    def said(self, records: list[Record], name: str) -> list[Record]:
        """The records, once it is noted what they are and what was left out of them; ``name`` is that of their data."""
        for line in told([record.data for record in records]):
            self.note(f"{name}: {line}")
        return records

    def by_degree(self, records: list[Record], what: str) -> list[Record]:
        """The records with the degrees of their nodes as values, one-hot; ``what`` is named in the note."""
        graphs, kinds = all_with_degrees([record.data for record in records], self.max_degree)
        self.note(f"{what}: nodes carry their degree, one-hot of {kinds}")
        return [replace(record, data=graph) for record, graph in zip(records, graphs, strict=True)]
