"""Batches of inputs in their order, each with what became of every one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from maskedmod.core.modality import BadSample, Modality, Record, changes
from maskedmod.data.batches import patient_worker, read
from maskedmod.data.sources import Records
from maskedmod.errors import one_line
from maskedmod.features.opened import from_place, parts_of


@dataclass(frozen=True)
class Portion:
    """Undecoded samples of one batch. ``inputs``: input records that end in it; ``part`` their part, ``last`` its last batch."""

    records: list[Record]
    inputs: int
    part: int
    last: bool


@dataclass
class Row:
    """What became of one sample: ``rejected`` says why it has no features, ``altered`` what reading changed of it. ``length``:
    tokens of a sequence whose tokens are all kept, which has as many rows of features."""

    key: str
    label: Any = None
    rejected: str | None = None
    altered: list[str] = field(default_factory=list)
    length: int | None = None


@dataclass
class Read:
    """A portion after decoding; ``batch`` holds its good samples, None when there is none."""

    portion: Portion
    rows: list[Row]
    batch: dict[str, Any] | None


class Decoder(Dataset[Read]):
    """Item: a Portion -> Read; in this process or in a worker of a DataLoader."""

    def __init__(self, modality: Modality) -> None:
        self.modality = modality

    def __getitem__(self, portion: Portion) -> Read:
        rows, samples = [], []
        for record in portion.records:
            row = Row(record.key, _plain(record.label))
            with changes() as heard:
                try:
                    sample = read(self.modality, record, None)
                    samples.append(sample)
                    row.altered = [one_line(change) for change in heard]
                except BadSample as error:
                    row.rejected = one_line(str(error))
            rows.append(row)
        return Read(portion, rows, self.modality.collate(samples) if samples else None)


@dataclass
class Portions:
    """Portions of at most ``batch_size`` samples from part ``start`` on; a part is ``chunk`` input records, and no batch crosses
    its border, so that batches are the same wherever one begins."""

    records: Records
    modality: Modality
    batch_size: int
    chunk: int
    start: int

    def __iter__(self) -> Iterator[Portion]:
        number, inputs, waiting = self.start, 0, []
        done = 0
        stream = from_place(self.records, self.start * self.chunk)
        ahead = next(stream, None)
        while ahead is not None:
            samples = parts_of(self.modality, ahead) or (ahead,)
            ahead, inputs, done = next(stream, None), inputs + 1, done + 1
            closing = ahead is None or inputs == self.chunk
            for i, sample in enumerate(samples):
                waiting.append(sample)
                last = closing and i == len(samples) - 1
                if len(waiting) == self.batch_size or last:
                    yield Portion(waiting, done, number, last)
                    waiting, done = [], 0
            if closing:
                number, inputs = number + 1, 0


def read_all(portions: Portions, workers: int) -> Iterator[Read]:
    """Decode portion after portion, in their order whatever ``workers`` is."""
    decoder = Decoder(portions.modality)
    if not workers:
        return (decoder[portion] for portion in portions)
    pin = torch.cuda.is_available()
    sampler: Any = portions
    return iter(
        DataLoader(decoder, batch_size=None, sampler=sampler, num_workers=workers, pin_memory=pin, worker_init_fn=patient_worker)
    )


def _plain(label: Any) -> str | int | float | None:
    """A label as text or a number."""
    if label is None or isinstance(label, str | int | float):
        return label
    item = getattr(label, "item", None)
    return item() if item is not None and getattr(label, "ndim", 1) == 0 else str(label)
