"""Passes over data in batches that depend on the data alone, so that what is measured on them compares between runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch

from maskedmod.core.context import step_seed
from maskedmod.core.modality import Modality, Record
from maskedmod.data.bad import Policy
from maskedmod.data.batches import Window
from maskedmod.data.budget import in_sequence, token_lengths
from maskedmod.data.loader import Loader
from maskedmod.data.order import Slot
from maskedmod.data.stream import RecordStream

CROP_SEED = 2**31 - 1
"""Long samples are cut at the same place in every run, whatever its seed."""
GROUP = 16
"""Samples of a group: few enough for the memory of any run, since no gradient is kept."""
BUDGET = 4096
"""Tokens of a group of packed sequences; a longer sequence is a group of its own."""


@dataclass
class Groups:
    """Records in groups of ``GROUP`` neighbours (packed: of ``BUDGET`` tokens), whatever batches a run trains on and however many
    processes share them: each takes every ``world``-th group. Long samples are cut at a place that their number decides.

    ``most``: at most so many samples (None: all). ``mixed``: in an order that is drawn, the same in every run, and not that of
    the records. ``packed``: whether tokens are counted. Bad samples are left out or raise, as in ``Loader``."""

    records: Sequence[Record] | RecordStream
    modality: Modality
    rank: int = 0
    world: int = 1
    workers: int = 0
    bad: Policy = "raise"
    bad_path: Path | None = None
    packed: bool = False
    most: int | None = None
    mixed: bool = False

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Number of a group, the same in every run, and its batch."""
        size = min(GROUP, self.modality.held or GROUP)
        loader = Loader(
            self.records, self.modality, size, shuffle=False, workers=self.workers, bad=self.bad, bad_path=self.bad_path
        )
        if isinstance(self.records, RecordStream):
            return loader.numbered(self._windows(self.records, size), range(self.rank, 1 << 62, self.world))
        parts = self._parts(len(self.records), size)
        numbers = range(self.rank, len(parts), self.world)
        return loader.numbered([parts[number] for number in numbers], numbers)

    def _parts(self, total: int, size: int) -> list[list[Slot]]:
        order = list(range(total))
        if self.mixed:
            order = torch.randperm(total, generator=torch.Generator().manual_seed(CROP_SEED)).tolist()
        order = order[: self.most]
        if self.packed:
            found = list(in_sequence(token_lengths(self.records, self.modality), order, BUDGET))
        else:
            found = [order[i : i + size] for i in range(0, len(order), size)]
        return [[Slot(index, step_seed(CROP_SEED, index), fixed=True) for index in part] for part in found]

    def _windows(self, stream: RecordStream, size: int) -> Iterator[Window]:
        """Those of this process; the records between are passed over unread."""
        most = stream.samples if self.most is None else min(self.most, stream.samples or self.most)
        records = islice(stream.epoch(0, CROP_SEED, self.mixed), most)
        for number in count():
            window = list(islice(records, size))
            if not window:
                return
            if number % self.world == self.rank:
                yield Window(None, window)
