"""Read, decode and collate the batches of given steps, in this process or in a worker of a torch DataLoader."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from torch.utils.data import Dataset

from maskedmod.core.context import step_seed
from maskedmod.core.modality import BadSample, Modality, Record
from maskedmod.core.unexpected import UnexpectedSample, as_bad_sample
from maskedmod.data.bad import Bad
from maskedmod.data.budget import BudgetOrder
from maskedmod.data.order import Order, Slot
from maskedmod.data.stream import RecordStream
from maskedmod.errors import UserError

MOST_TRIES = 100
"""Replacements that are tried for one place before the data as a whole is called unusable."""


@dataclass
class Fetched:
    """A batch with the samples that could not be used; ``batch`` is None when reading stopped at one (policy ``raise``) or when
    none was left. ``fatal``: why there can be no batch. Workers hand over this and never a UserError, which would lose its type
    and plain message on the way."""

    batch: dict[str, Any] | None
    bad: list[Bad]
    fatal: str = ""

    def pin_memory(self) -> Fetched:
        """Called by the DataLoader; lets the copy to the device run beside the computation."""
        from torch.utils.data._utils.pin_memory import pin_memory

        return replace(self, batch=None if self.batch is None else pin_memory(self.batch))


def read(modality: Modality, record: Record, seed: int | None, held_out: bool = False) -> Any:
    """Decode one record, of which ``plausible`` has nothing to say: in training as in use. BadSample for whatever is wrong with
    the sample itself, an exception that its reader did not mean included."""
    if seed is not None:
        record = replace(record, extra={**record.extra, "seed": seed, **({"held_out": True} if held_out else {})})
    with as_bad_sample():
        if isinstance(record.data, Unread):
            raise record.data.error
        sample = modality.read(record)
        modality.plausible(sample)
        return sample


@dataclass(frozen=True)
class Unread:
    """In place of the data of a record that its source could not give."""

    error: BadSample


def record_at(records: Sequence[Record], index: int) -> Record:
    """A record of a source; one that the source cannot give is a record that cannot be read."""
    try:
        with as_bad_sample():
            return records[index]
    except BadSample as error:
        return Record(Unread(error), key=f"record {index}")


class MapBatches(Dataset[Fetched]):
    """Item: the slots of a batch, or plain indices of an ordered pass (no seed, no replacement) -> Fetched."""

    def __init__(self, records: Sequence[Record], modality: Modality, order: Order | BudgetOrder, skip: bool) -> None:
        self.records, self.modality, self.order, self.skip = records, modality, order, skip
        self.budget = isinstance(order, BudgetOrder)

    def __getitem__(self, wanted: Sequence[Slot | int]) -> Fetched:
        samples: list[Any] = []
        bad: list[Bad] = []
        try:
            for slot in wanted:
                samples += self._place(slot, bad, isinstance(slot, Slot) and not slot.fixed and not self.budget)
            if not samples and self.budget and isinstance(wanted[0], Slot) and not wanted[0].fixed:
                samples = self._place(wanted[0], bad, True, first=1)
        except _Stopped as stop:
            return Fetched(None, bad, str(stop))
        return Fetched(self.modality.collate(samples) if samples else None, bad)

    def _place(self, slot: Slot | int, bad: list[Bad], replace: bool, first: int = 0) -> list[Any]:
        """The sample of one place, or with ``replace`` that of another record; nothing when it is bad and may be skipped."""
        own, seed = (slot.index, slot.seed) if isinstance(slot, Slot) else (slot, None)
        for attempt in range(first, MOST_TRIES):
            index = own if attempt == 0 or not isinstance(slot, Slot) else self.order.replacement(slot, attempt)
            record = record_at(self.records, index)
            try:
                return [read(self.modality, record, seed, isinstance(slot, Slot) and slot.fixed)]
            except BadSample as error:
                bad.append(bad_of(record, error))
                if not self.skip:
                    raise _Stopped from None
                if not replace:
                    return []
        raise _Stopped(f"{MOST_TRIES} samples in a row cannot be used; the last one is {bad[-1].key}: {bad[-1].reason}")


class _Stopped(Exception):  # noqa: N818  (a signal, not an error)
    """There will be no batch; the message says why, when it is not the bad sample itself."""


@dataclass(frozen=True)
class Window:
    """Undecoded records of one batch of a stream; ``step`` is None in an ordered pass."""

    step: int | None
    records: list[Record]


def bad_of(record: Record, error: BadSample) -> Bad:
    """What is kept of a sample that could not be read."""
    return Bad(record.key, str(error), error.trace if isinstance(error, UnexpectedSample) else "")


class StreamBatches(Dataset[Fetched]):
    """Item: a window of a stream -> Fetched. The stream itself is read by the training process, once and in order, and only the
    decoding is left to workers: the batches are the same for any number of them."""

    def __init__(self, modality: Modality, order: Order, skip: bool) -> None:
        self.modality, self.order, self.skip = modality, order, skip

    def __getitem__(self, window: Window) -> Fetched:
        """A bad sample is replaced by a good one of the same batch, since a stream has no random access."""
        good: list[Any] = []
        bad: list[Bad] = []
        for place, record in enumerate(window.records):
            try:
                seed = None if window.step is None else step_seed(self.order.seed, window.step, self.order.rank, place + 1)
                good.append(read(self.modality, record, seed))
            except BadSample as error:
                bad.append(bad_of(record, error))
                if not self.skip:
                    return Fetched(None, bad)
        if window.step is None:
            return Fetched(self.modality.collate(good) if good else None, bad)
        if not good:
            last = bad[-1]
            return Fetched(
                None, bad, f"no sample of a batch of {len(bad)} can be used; the last one is {last.key}: {last.reason}"
            )
        return Fetched(self.modality.collate([good[i % len(good)] for i in range(len(window.records))]), bad)


@dataclass
class Windows:
    """Windows of a stream for one rank, which takes every world-th record: from ``start_step`` on without end, those before it
    passed over unread; or, with ``start_step`` None, one ordered pass."""

    stream: RecordStream
    order: Order
    start_step: int | None

    def __iter__(self) -> Iterator[Window]:
        o, step = self.order, self.start_step
        chunk = o.batch_size * o.world
        if step is None:
            records = islice(self.stream.epoch(0, o.seed, False), self.stream.samples)
            while window := list(islice(records, chunk)):
                if mine := window[o.rank :: o.world]:
                    yield Window(None, mine)
            return
        while True:
            epoch, first = divmod(step, o.steps_per_epoch)
            records = islice(self.stream.epoch(epoch, o.seed, o.shuffle), first * chunk, None)
            for _ in range(first, o.steps_per_epoch):
                window = list(islice(records, chunk))
                if len(window) < chunk:
                    raise UserError(f"the stream has fewer than {o.count} samples; lower data.epoch_samples")
                yield Window(step, window[o.rank :: o.world])
                step += 1


def patient_worker(worker: int) -> None:
    """Signals of a cluster reach every process of a group. The training process wants to finish its step and save, so a worker
    goes on when it is told to stop, for at most 20 s (at the end of a run nobody waits longer than that for it)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.name == "posix":
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(20))
