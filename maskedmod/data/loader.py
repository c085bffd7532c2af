"""Batches of records: shuffled, dealt out to ranks, read by worker processes, and exactly repeatable from any step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from maskedmod.core.modality import Modality, Record
from maskedmod.data.bad import BadLog, Policy
from maskedmod.data.batches import Fetched, MapBatches, StreamBatches, Windows, patient_worker
from maskedmod.data.budget import BudgetOrder, token_lengths
from maskedmod.data.order import Order, Slot
from maskedmod.data.stream import RecordStream
from maskedmod.errors import UserError


class Loader:
    """Batches for one process of ``world``.

    ``batch_size``: samples of one batch of this process. ``batches(start_step)``: endless, epoch after epoch; the batch of a step
    is a pure function of (seed, step, rank, world), whatever ``workers`` is, and only records from ``start_step`` on are read.
    ``epoch_batches()``: one ordered pass for validation, the last batch may be smaller. ``bad``: count and list of samples
    that could not be used; with ``skip`` they are replaced in training (by any other sample, again a pure function of the place)
    and left out in validation. UserError when training data holds less than one batch.

    ``batch_tokens``: for packed sequences, batches are filled up to so many tokens instead (see ``BudgetOrder``); then a bad
    sample in training is left out of its batch, and another one is read only where nothing is left.
    """

    def __init__(
        self,
        records: Sequence[Record] | RecordStream,
        modality: Modality,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        bad: Policy = "raise",
        bad_path: Path | None = None,
        batch_tokens: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size}: must be at least 1")
        self.records, self.modality, self.batch_size, self.workers = records, modality, batch_size, workers
        self.bad = BadLog(bad, bad_path)
        self.order: Order | BudgetOrder = Order(_count(records, needed=shuffle), batch_size, seed, shuffle, rank, world)
        if batch_tokens is not None and shuffle:
            self.order = BudgetOrder(token_lengths(records, modality), batch_tokens, seed, rank, world)
        if shuffle:
            self._require_a_batch()

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of this process in one pass over the training data."""
        return self.order.steps_per_epoch

    def batches(self, start_step: int = 0) -> Iterator[dict[str, Any]]:
        """Training batches from ``start_step`` on, without end."""
        self._require_a_batch()
        if isinstance(self.records, RecordStream):
            stream = self._stream()
            return self._run(stream, Windows(self.records, stream.order, start_step))
        return self._run(self._map(self.records), _Steps(self.order, start_step))

    def epoch_batches(self) -> Iterator[dict[str, Any]]:
        """One pass in the order of the records; with several processes each takes its share, which may differ by one sample."""
        if isinstance(self.records, RecordStream):
            stream = self._stream()
            return self._run(stream, Windows(self.records, stream.order, None))
        o = self.order
        mine = range(o.rank, o.count, o.world)
        return self._run(self._map(self.records), [mine[i : i + self.batch_size] for i in range(0, len(mine), self.batch_size)])

    def numbered(self, parts: Iterable[Any], numbers: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Batches of given parts, each with its number; parts of which nothing can be used are left out."""
        data = self._stream() if isinstance(self.records, RecordStream) else self._map(self.records)
        for number, item in zip(numbers, self._fetched(data, parts)):
            if (batch := self._checked(item)) is not None:
                yield number, batch

    def _map(self, records: Sequence[Record]) -> MapBatches:
        return MapBatches(records, self.modality, self.order, self.bad.policy == "skip")

    def _stream(self) -> StreamBatches:
        assert isinstance(self.order, Order)
        return StreamBatches(self.modality, self.order, self.bad.policy == "skip")

    def _run(self, data: MapBatches | StreamBatches, parts: Any) -> Iterator[dict[str, Any]]:
        for item in self._fetched(data, parts):
            if (batch := self._checked(item)) is not None:
                yield batch

    def _fetched(self, data: MapBatches | StreamBatches, parts: Any) -> Iterator[Fetched]:
        return self._workers(data, parts) if self.workers else (data[part] for part in parts)

    def _checked(self, item: Fetched) -> dict[str, Any] | None:
        """Its batch, with the bad samples counted. UserError where there can be none."""
        self.bad.add(item.bad)
        if item.fatal:
            raise UserError(item.fatal)
        return item.batch

    def _workers(self, data: Dataset[Fetched], parts: Any) -> Iterator[Fetched]:
        return iter(
            DataLoader(
                data,
                batch_size=None,
                sampler=parts,
                num_workers=self.workers,
                prefetch_factor=4,
                pin_memory=torch.cuda.is_available(),
                worker_init_fn=patient_worker,
            )
        )

    def _require_a_batch(self) -> None:
        o = self.order
        if o.steps_per_epoch == 0:
            over = f" x {o.world} processes" if o.world > 1 else ""
            batch = f"one batch of {self.batch_size}{over}"
            raise UserError(f"the training data has {o.count} samples, less than {batch}; lower train.batch_size")


class _Steps:
    """Slots of step after step, without end, for the DataLoader's sampler."""

    def __init__(self, order: Order | BudgetOrder, start_step: int) -> None:
        self.order, self.start_step = order, start_step

    def __iter__(self) -> Iterator[list[Slot]]:
        step = self.start_step
        while True:
            yield self.order.batch(step)
            step += 1


def _count(records: Sequence[Record] | RecordStream, needed: bool) -> int:
    """Samples of an epoch; 0 for a stream of unknown length that is only passed over in order."""
    if not isinstance(records, RecordStream):
        return len(records)
    if records.samples is None and needed:
        raise UserError("this stream does not say how many samples it has; give data.epoch_samples, the length of an epoch")
    return records.samples or 0
