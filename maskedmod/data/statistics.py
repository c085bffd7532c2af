"""Statistics of the training data that a modality wants measured (means, deviations), from a spread of its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import torch

from maskedmod.core.context import step_seed
from maskedmod.core.modality import BadSample, Modality, Record
from maskedmod.data.bad import Bad, BadLog
from maskedmod.data.batches import bad_of, read, record_at
from maskedmod.data.stream import RecordStream
from maskedmod.errors import UserError


def measure(
    records: Sequence[Record] | RecordStream, modality: Modality, samples: int = 1024, seed: int = 0, bad: BadLog | None = None
) -> dict[str, Any]:
    """What ``modality.measure`` finds on ``samples`` training records (all, when there are fewer), chosen by ``seed``.
    Bad samples are treated by the policy of ``bad``. Nothing is read when the modality has nothing to measure."""
    log = bad if bad is not None else BadLog()
    return modality.measure(_Decoded(records, modality, samples, seed, log))


class _Decoded(Sequence[Any]):
    """Good samples, decoded when somebody first looks."""

    def __init__(self, records: Any, modality: Modality, samples: int, seed: int, log: BadLog) -> None:
        self._records, self._modality, self._samples, self._seed, self._log = records, modality, samples, seed, log

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: Any) -> Any:
        return self._all[index]

    @cached_property
    def _all(self) -> list[Any]:
        good: list[Any] = []
        bad: Bad | None = None
        for place, record in enumerate(self._chosen()):
            try:
                good.append(read(self._modality, record, step_seed(self._seed, place)))
            except BadSample as error:
                bad = bad_of(record, error)
                self._log.add([bad])
        if not good:
            tried = "there is none" if bad is None else f"the last one that was tried is {bad.key}: {bad.reason}"
            raise UserError(f"no training sample can be used; {tried}")
        return good

    def _chosen(self) -> Iterator[Record]:
        records = self._records
        if isinstance(records, RecordStream):
            return islice(records.epoch(0, self._seed, True), self._samples)
        generator = torch.Generator().manual_seed(step_seed(self._seed, 0))
        chosen = torch.randperm(len(records), generator=generator)[: self._samples].sort().values
        return (record_at(records, index) for index in chosen.tolist())
