"""The sample that comes with a modality: no download, no file of one's own."""

from __future__ import annotations

from maskedmod.core.modality import Modality
from maskedmod.data.sources import Records, Source, Split, expanded
from maskedmod.errors import UserError


class Demo(Source):
    """The built-in sample. ``samples``: at most so many training records (default: all)."""

    def __init__(self, samples: int | None = None) -> None:
        super().__init__()
        if samples is not None and samples < 1:
            raise UserError(f"data.samples={samples}: must be at least 1")
        self.samples = samples

    def records(self, split: Split, modality: Modality) -> Records:
        """The modality's own records."""
        records = expanded(list(modality.demo(split)), modality)
        if split == "train" and self.samples is not None:
            records = list(records)[: self.samples]
        self.note(f"built-in sample: {len(records)} records to {'train on' if split == 'train' else 'validate'}")
        return records
