"""Groups: batches that depend on the data alone, however many processes and workers there are, and whatever is bad in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from maskedmod.core.modality import Record
from maskedmod.data.groups import GROUP, Groups
from maskedmod.data.stream import RecordStream
from tests.data.toy_modality import Toy


class Stream(RecordStream):
    """Numbers in order."""

    samples = None

    def __init__(self, count: int) -> None:
        self.count = count

    def epoch(self, epoch: int, seed: int, shuffle: bool) -> Iterator[Record]:
        return (Record(i, f"number {i}") for i in range(self.count))


def content(groups: Groups) -> dict[int, list[Any]]:
    return {number: batch["x"].tolist() for number, batch in groups}


@pytest.mark.parametrize("records", [[Record(i, f"number {i}") for i in range(37)], Stream(37)], ids=["sequence", "stream"])
@pytest.mark.parametrize("world", [1, 2, 5])
def test_processes_share_the_same_groups(records: Any, world: int) -> None:
    found: dict[int, list[Any]] = {}
    for rank in range(world):
        found |= content(Groups(records, Toy(), rank=rank, world=world))
    assert [found[number] for number in sorted(found)] == [list(range(i, min(i + GROUP, 37))) for i in range(0, 37, GROUP)]


def test_most_and_mixed() -> None:
    records = [Record(i, f"number {i}") for i in range(50)]
    assert [x for part in content(Groups(records, Toy(), most=20)).values() for x in part] == list(range(20))
    mixed = [x for part in content(Groups(records, Toy(), mixed=True)).values() for x in part]
    assert sorted(mixed) == list(range(50)) != mixed
    assert mixed[:20] == [x for part in content(Groups(records, Toy(), mixed=True, most=20)).values() for x in part]


def test_a_group_of_bad_samples_keeps_the_numbers_of_the_others() -> None:
    bad = range(GROUP, 2 * GROUP)
    records = [Record(-1 if i in bad else i, f"number {i}") for i in range(3 * GROUP)]
    assert list(content(Groups(records, Toy(), bad="skip"))) == [0, 2]
