"""The loader: exact from any step, the same for any number of workers, disjoint over ranks, honest about bad samples."""

from __future__ import annotations

import json
import os
import signal
from itertools import islice
from typing import Any

import pytest
import torch

from maskedmod.core.modality import BadSample, Record
from maskedmod.data.bad import BadLog
from maskedmod.data.loader import Loader
from maskedmod.data.statistics import measure
from maskedmod.data.stream import RecordStream
from maskedmod.errors import UserError
from tests.data.toy_modality import Toy, numbers


def run(loader: Loader, start: int, count: int) -> list[tuple[list[int], list[int]]]:
    return [(b["x"].tolist(), b["seed"].tolist()) for b in islice(loader.batches(start), count)]


class Counting(RecordStream):
    """An epoch of ``samples`` numbers in an order that depends on (seed, epoch)."""

    def __init__(self, values: list[int], samples: int | None) -> None:
        self.values, self.samples = values, samples

    def epoch(self, number: int, seed: int, shuffle: bool) -> Any:
        order = torch.randperm(len(self.values), generator=torch.Generator().manual_seed(100 * seed + number)).tolist()
        return iter(numbers(self.values[i] for i in (order if shuffle else range(len(order)))))


@pytest.mark.parametrize("source", ["map", "stream"])
def test_resume_equals_uninterrupted_and_workers_do_not_matter(source: str) -> None:
    records: Any = numbers(range(23)) if source == "map" else Counting(list(range(23)), 23)
    whole = run(Loader(records, Toy(), 4, seed=3), 0, 14)
    assert run(Loader(records, Toy(), 4, seed=3), 7, 7) == whole[7:]
    assert run(Loader(records, Toy(), 4, seed=3, workers=2), 3, 11) == whole[3:]
    assert run(Loader(records, Toy(), 4, seed=4), 0, 14) != whole
    first, second = ([x for xs, _ in whole[i : i + 5] for x in xs] for i in (0, 5))
    assert len(set(first)) == len(set(second)) == 20
    assert first != second
    assert len({s for _, seeds in whole for s in seeds}) == 56


def test_only_what_is_needed_is_read() -> None:
    toy = Toy()
    run(Loader(numbers(range(100)), toy, 5), 17, 2)
    assert toy.reads == 10


@pytest.mark.parametrize("source", ["map", "stream"])
def test_ranks_are_disjoint_and_together_whole(source: str) -> None:
    records: Any = numbers(range(24)) if source == "map" else Counting(list(range(24)), 24)
    ranks = [run(Loader(records, Toy(), 3, rank=r, world=2), 0, 4) for r in range(2)]
    seen = [{x for xs, _ in rank for x in xs} for rank in ranks]
    assert seen[0].isdisjoint(seen[1])
    assert seen[0] | seen[1] == set(range(24))
    alone = run(Loader(records, Toy(), 6), 0, 4)
    assert [sorted(a[0] + b[0]) for a, b in zip(*ranks, strict=True)] == [sorted(xs) for xs, _ in alone]


def test_ordered_pass_keeps_the_last_partial_batch() -> None:
    for workers in (0, 2):
        loader = Loader(numbers(range(10)), Toy(), 4, shuffle=False, workers=workers)
        assert [b["x"].tolist() for b in loader.epoch_batches()] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        assert [b["seed"].tolist() for b in loader.epoch_batches()][2] == [-1, -1]
    parts = [Loader(numbers(range(5)), Toy(), 2, shuffle=False, rank=r, world=2).epoch_batches() for r in range(2)]
    assert [[b["x"].tolist() for b in part] for part in parts] == [[[0, 2], [4]], [[1, 3]]]
    stream = Counting(list(range(9)), 7)
    assert [b["x"].tolist() for b in Loader(stream, Toy(), 4, shuffle=False).epoch_batches()] == [[0, 1, 2, 3], [4, 5, 6]]


def test_too_few_samples_and_unknown_length_are_said() -> None:
    with pytest.raises(UserError, match="7 samples, less than one batch of 4 x 2 processes"):
        Loader(numbers(range(7)), Toy(), 4, world=2)
    with pytest.raises(UserError, match="epoch_samples"):
        Loader(Counting([1, 2], None), Toy(), 2)
    for workers in (0, 1):
        with pytest.raises(UserError, match="fewer than 30 samples"):
            run(Loader(Counting(list(range(20)), 30), Toy(), 5, workers=workers), 0, 6)


@pytest.mark.parametrize("workers", [0, 2])
def test_raise_names_the_sample(workers: int) -> None:
    loader = Loader(numbers([1, 2, -7, 4]), Toy(), 2, workers=workers)
    with pytest.raises(UserError, match=r"^number -7: -7 is negative \(train.bad_samples=skip"):
        run(loader, 0, 4)


@pytest.mark.parametrize("source", ["map", "stream"])
def test_skip_replaces_the_same_way_every_time(source: str, tmp_path: Any) -> None:
    values = [n if n % 4 else -n - 1 for n in range(40)]
    records: Any = numbers(values) if source == "map" else Counting(values, 40)
    path = tmp_path / "run" / "bad_samples.jsonl"
    loader = Loader(records, Toy(), 8, bad="skip", bad_path=path)
    whole = run(loader, 0, 10)
    assert all(len(xs) == 8 and min(xs) >= 0 for xs, _ in whole)
    assert run(Loader(records, Toy(), 8, bad="skip", workers=2), 4, 6) == whole[4:]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(line["key"] for line in lines) == sorted(f"number {n}" for n in values if n < 0)
    assert all("is negative" in line["reason"] for line in lines)
    assert loader.bad.count >= 20 and len(loader.bad.keys) == 10
    again = Loader(records, Toy(), 8, bad="skip", bad_path=path)
    run(again, 0, 5)
    assert len(path.read_text().splitlines()) == 10


def test_skip_in_validation_leaves_out_and_all_bad_ends() -> None:
    loader = Loader(numbers([1, -2, 3, -4, -5, 6]), Toy(), 2, shuffle=False, bad="skip")
    assert [b["x"].tolist() for b in loader.epoch_batches()] == [[1], [3], [6]]
    assert loader.bad.count == 3
    for workers in (0, 1):
        with pytest.raises(UserError, match="100 samples in a row cannot be used; the last one is number -"):
            run(Loader(numbers([-1, -2, -3]), Toy(), 2, bad="skip", workers=workers), 0, 1)
    with pytest.raises(UserError, match="no sample of a batch of 2"):
        run(Loader(Counting([-1, -2, -3], 3), Toy(), 2, bad="skip"), 0, 1)


def test_other_errors_are_bad_samples_that_name_their_place_and_missing_files_too(tmp_path: Any) -> None:
    with pytest.raises(UserError, match=r"row 0: cannot be read \(TypeError: .*, at toy_modality.py line \d+\)"):
        run(Loader([Record(None, "row 0")], Toy(), 1), 0, 1)
    log = tmp_path / "bad.jsonl"
    left = Loader([Record(None, "row 0"), *numbers([3])], Toy(), 1, shuffle=False, bad="skip", bad_path=log)
    assert [b["x"].tolist() for b in left.epoch_batches()] == [[3]]
    assert "Traceback" in json.loads(log.read_text())["traceback"]
    with pytest.raises(UserError, match="gone: cannot be opened"):
        run(Loader([Record(tmp_path / "gone.num", "gone")], Toy(), 1), 0, 1)


def test_workers_outlive_a_signal_to_the_group() -> None:
    batches = Loader(numbers(range(64)), Toy(), 4, workers=1).batches()
    first = next(batches)["x"].tolist()
    workers = torch.multiprocessing.active_children()
    assert len(workers) == 1 and workers[0].pid is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        os.kill(workers[0].pid, number)
    rest = [next(batches)["x"].tolist() for _ in range(12)]
    assert [first, *rest] == [xs for xs, _ in run(Loader(numbers(range(64)), Toy(), 4), 0, 13)]
    assert workers[0].is_alive()


def test_policy_and_damaged_log(tmp_path: Any) -> None:
    with pytest.raises(UserError, match="accepted are raise, skip"):
        BadLog("ignore")  # type: ignore[arg-type]
    path = tmp_path / "bad_samples.jsonl"
    path.write_text('{"key": "a", "reason": "r"}\n{"key": "b", "rea')
    assert BadLog("skip", path).keys == {"a"}


def test_measure_reads_a_spread_and_obeys_the_policy() -> None:
    toy = Toy()
    assert measure(numbers([7] * 50), toy, samples=20) == {"mean": 7.0}
    assert toy.reads == 20
    assert measure(Counting([2, 4], 2), Toy()) == {"mean": 3.0}
    with pytest.raises(UserError, match="number -3"):
        measure(numbers([1, -3]), Toy())
    log = BadLog("skip")
    assert measure(numbers([1, -3]), Toy(), bad=log) == {"mean": 1.0} and log.count == 1
    with pytest.raises(BadSample):
        Toy().read(Record(-1, "x"))
