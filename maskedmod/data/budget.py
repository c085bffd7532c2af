"""Batches of sequences by a budget of tokens: which sequences lie together, as a pure function of (seed, step, rank, world)."""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from maskedmod.core.context import step_seed
from maskedmod.data.order import Slot
from maskedmod.errors import UserError

OPEN = 64
"""Batches that are filled at a time. A sequence goes where it leaves the least room, so batches are nearly full, while which
sequences meet is left to chance."""

SLACK = 1.01
"""Batches of an epoch, as a multiple of what the first epoch's order needs: every epoch has the same number."""

Lengths = np.ndarray[Any, Any]


class BudgetOrder:
    """Training order of sequences with ``lengths`` int64 ``[n]`` (tokens). Every epoch is a permutation, packed into a number of
    batches of at most ``budget`` tokens that is the same in every epoch and a multiple of ``world``; every sequence comes once an
    epoch (save where there are fewer sequences than processes could share out: then a few batches, others every epoch, are left
    out). One that alone is longer than the budget is a batch of its own. UserError for fewer sequences than processes.

    Packing is best fit over ``OPEN`` open batches; an epoch whose order needs more batches than there are is packed longest
    first instead, which never does; one that needs fewer has its largest batches split.
    """

    def __init__(self, lengths: Lengths, budget: int, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        if budget < 1:
            raise UserError(f"batch_tokens={budget}: must be at least 1")
        if len(lengths) < world:
            raise UserError(f"the training data has {len(lengths)} sequences, less than one for each of {world} processes")
        self.lengths, self.budget, self.seed, self.rank, self.world = lengths, budget, seed, rank, world
        self.count, self.shuffle = len(lengths), True
        self.by_length = np.argsort(lengths, kind="stable")
        self._epoch, self._batches = -1, [[0]]
        fewest = max(int(len(self._in_order(0)) * SLACK), len(self._longest_first()))
        self.batches = min(-(-fewest // world) * world, self.count // world * world)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one process in one epoch."""
        return self.batches // self.world

    @property
    def samples_per_step(self) -> float:
        """Mean number of sequences in a step of all processes."""
        return self.count / self.steps_per_epoch

    def epoch(self, number: int) -> list[list[int]]:
        """Record numbers of every batch of an epoch, over all processes; those of the latest epoch are kept."""
        if number != self._epoch:
            found = self._in_order(number)
            if len(found) > self.batches:
                found = self._longest_first()
            found = _split(found, self.batches, self.lengths)
            order = np.random.default_rng(step_seed(self.seed, number, part=1)).permutation(len(found))
            self._epoch, self._batches = number, [found[i] for i in order]
        return self._batches

    def batch(self, step: int) -> list[Slot]:
        """What this process reads at a step counted from the start of the run."""
        number, within = divmod(step, self.steps_per_epoch)
        chosen = self.epoch(number)[within * self.world + self.rank]
        return [Slot(index, step_seed(self.seed, number, part=1 + index)) for index in chosen]

    def replacement(self, slot: Slot, attempt: int) -> int:
        """Another sequence for one that cannot be used, chosen by (seed of the place, attempt) among those within the budget."""
        fitting = int(np.searchsorted(self.lengths[self.by_length], self.budget, side="right")) or self.count
        return int(self.by_length[step_seed(slot.seed, attempt) % fitting])

    def _in_order(self, epoch: int) -> list[list[int]]:
        order = np.random.default_rng(step_seed(self.seed, epoch)).permutation(self.count)
        return best_fit(order, self.lengths, self.budget, OPEN)

    def _longest_first(self) -> list[list[int]]:
        return best_fit(self.by_length[::-1], self.lengths, self.budget, self.count)


def best_fit(order: Lengths, lengths: Lengths, budget: int, most_open: int) -> list[list[int]]:
    """Batches of at most ``budget`` tokens: each sequence joins the open batch that it fills best; when ``most_open`` are open
    and none has room, the fullest is closed."""
    rooms: list[tuple[int, int]] = []  # (room, number of the batch), sorted
    found: list[list[int]] = []
    for index, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        place = bisect.bisect_left(rooms, (length, -1))
        if place < len(rooms):
            room, number = rooms.pop(place)
        else:
            room, number = budget, len(found)
            found.append([])
            if len(rooms) == most_open:
                rooms.pop(0)
        found[number].append(index)
        if room > length:
            bisect.insort(rooms, (room - length, number))
    return found


def _split(batches: list[list[int]], wanted: int, lengths: Lengths) -> list[list[int]]:
    """As many batches as wanted: the one of most tokens that holds several sequences is cut in two, again and again."""
    heap = [(-int(lengths[batch].sum()), i, batch) for i, batch in enumerate(batches) if len(batch) > 1]
    heapq.heapify(heap)
    single = [batch for batch in batches if len(batch) == 1]
    number = len(batches)
    while len(single) + len(heap) < wanted:
        _, _, batch = heapq.heappop(heap)
        for half in (batch[::2], batch[1::2]):
            if len(half) == 1:
                single.append(half)
            else:
                heapq.heappush(heap, (-int(lengths[half].sum()), number, half))
            number += 1
    return single + [batch for _, _, batch in sorted(heap, key=lambda entry: entry[1])]


def in_sequence(lengths: Sequence[int] | Lengths, mine: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Records ``mine`` in their order, as many to a batch as the budget holds."""
    batch: list[int] = []
    total = 0
    for index in mine:
        if batch and total + int(lengths[index]) > budget:
            yield batch
            batch, total = [], 0
        batch.append(index)
        total += int(lengths[index])
    if batch:
        yield batch


def token_lengths(records: Any, modality: Any) -> Lengths:
    """Most tokens that every record gives in training, int64 ``[n]``, without decoding any: from ``records.lengths``, else each
    record's ``extra["length"]`` or its text. UserError where the data or the modality do not tell."""
    if not hasattr(records, "__len__"):
        raise UserError(
            "train.batch_tokens needs the lengths of all sequences, which a stream does not tell; use train.batch_size"
        )
    raw = getattr(records, "lengths", None)
    if raw is None:
        raw = [_length(record) for record in records]
    found = modality.token_lengths(torch.as_tensor(np.asarray(raw, np.int64)))
    if found is None:
        raise UserError("train.batch_tokens is for sequences, and this modality's samples are not packed; use train.batch_size")
    return np.asarray(found, np.int64)


def packing_report(order: BudgetOrder, modality: Any) -> list[str]:
    """What a run says of its batches, once: how full they are, what is cut, what stands alone."""
    full = order.lengths.sum() / (order.batches * order.budget)
    lines = [f"{order.count} sequences in {order.batches} batches of at most {order.budget} tokens, {full:.1%} full, no padding"]
    most = int(modality.token_lengths(torch.tensor([1 << 40]))[0])
    cut = int((order.lengths >= most).sum())
    if cut:
        lines.append(f"{cut} sequences may reach the limit of {most} tokens: {modality.too_long}")
    alone = int((order.lengths > order.budget).sum())
    if alone:
        lines.append(f"{alone} sequences are longer than the budget and stand alone in their batches")
    return lines


def _length(record: Any) -> int:
    known = record.extra.get("length")
    if known is None and not isinstance(record.data, str | bytes):
        raise UserError(f"{record.key}: its length is not known before it is read; use train.batch_size, not train.batch_tokens")
    return int(known) if known is not None else len(record.data)
