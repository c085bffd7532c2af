"""Batches by a budget of tokens: full, without padding, every sequence once an epoch, exact from any step."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from maskedmod.core.modality import Modality, Record
from maskedmod.data.budget import BudgetOrder, packing_report
from maskedmod.data.groups import Groups
from maskedmod.data.loader import Loader
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_modality


def lengths(count: int = 400, seed: int = 0, most: int = 300) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(3, most, count)


def protein(**arguments: Any) -> Modality:
    return build_modality({"modality": {"protein": arguments}})


def proteins(count: int = 120, seed: int = 1, most: int = 60) -> list[Record]:
    draw = np.random.default_rng(seed)
    texts = ["".join(draw.choice(list("LAGVSERTIDPKQNFYMHWC"), int(n))) for n in draw.integers(1, most, count)]
    return [Record(text, f"record {i}") for i, text in enumerate(texts)]


@pytest.mark.parametrize(("world", "budget"), [(1, 1000), (3, 1000), (2, 350), (4, 100_000)])
def test_every_sequence_once_an_epoch_over_all_ranks(world: int, budget: int) -> None:
    sizes = lengths()
    orders = [BudgetOrder(sizes, budget, 7, rank, world) for rank in range(world)]
    steps = orders[0].steps_per_epoch
    for epoch in range(4):
        batches = [[s.index for s in o.batch(epoch * steps + i)] for i in range(steps) for o in orders]
        assert sorted(i for batch in batches for i in batch) == list(range(len(sizes)))
        assert all(batch and sizes[batch].sum() <= budget for batch in batches)


def test_batches_are_nearly_full_and_differ_between_epochs() -> None:
    order = BudgetOrder(lengths(2000), 4096, 3)
    assert lengths(2000).sum() / (order.batches * 4096) > 0.97
    first, second = ({frozenset(batch) for batch in order.epoch(i)} for i in (0, 1))
    assert len(first & second) < 0.1 * len(first)


def test_an_epoch_whose_order_packs_badly_keeps_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    order = BudgetOrder(lengths(300), 1000, 5)
    monkeypatch.setattr(order, "_in_order", lambda epoch: [[i] for i in range(300)])
    found = order.epoch(9)
    assert len(found) == order.batches and sorted(i for batch in found for i in batch) == list(range(300))
    assert all(lengths(300)[batch].sum() <= 1000 for batch in found)


def test_a_sequence_longer_than_the_budget_stands_alone() -> None:
    sizes = np.array([50, 2000, 30, 40, 60])
    order = BudgetOrder(sizes, 100, 0)
    for epoch in range(3):
        assert [1] in order.epoch(epoch)
        assert all(sizes[batch].sum() <= 100 for batch in order.epoch(epoch) if batch != [1])


def test_a_step_is_a_function_of_its_number_alone() -> None:
    whole = [BudgetOrder(lengths(), 900, 4).batch(i) for i in range(150)]
    for step in (149, 3, 77):
        assert BudgetOrder(lengths(), 900, 4).batch(step) == whole[step]
    assert BudgetOrder(lengths(), 900, 5).batch(3) != whole[3]


def content(loader: Loader, start: int, count: int) -> list[tuple[list[int], list[int]]]:
    return [(b["ids"].tolist(), b["cu_seqlens"].tolist()) for b in islice(loader.batches(start), count)]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_goes_on_exactly_with_random_cuts(workers: int) -> None:
    def loader() -> Loader:
        return Loader(proteins(), protein(max_length=20, overlap=4), 1, seed=3, batch_tokens=200, workers=workers)

    whole = content(loader(), 0, 25)
    assert content(loader(), 11, 14) == whole[11:]
    assert max(len(ids) for ids, _ in whole) <= 200
    assert all(max(np.diff(cu)) <= 22 for _, cu in whole)


def test_cuts_are_new_every_epoch_and_none_is_favoured() -> None:
    record = [Record("LAGVSERTIDPKQNFYMHWC" * 5, "long")]
    loader = Loader(record, protein(max_length=10, overlap=2), 1, batch_tokens=200)
    firsts = {tuple(ids) for ids, _ in content(loader, 0, 200)}
    assert len(firsts) == 20  # the pattern repeats after twenty places, and all of them come


def test_groups_keep_the_order_and_the_budget_cut_at_one_place_and_do_not_depend_on_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("maskedmod.data.groups.BUDGET", 150)
    records, modality = proteins(), protein(max_length=20, overlap=4)
    alone = dict(Groups(records, modality, packed=True))
    assert all(len(batch["ids"]) <= 150 for batch in alone.values()) and list(alone) == list(range(len(alone)))
    sizes = [n for batch in alone.values() for n in batch["cu_seqlens"].diff().tolist()]
    assert sizes == [min(20, len(record.data)) + 2 for record in records]
    shared = {number: batch for rank in range(3) for number, batch in Groups(records, modality, rank=rank, world=3, packed=True)}
    assert shared.keys() == alone.keys()
    assert all(torch.equal(shared[number]["ids"], alone[number]["ids"]) for number in alone)


def test_without_crop_the_ordered_pass_cuts_nothing() -> None:
    batch = next(Loader([Record("LAGV" * 30, "x")], protein(max_length=20, overlap=4), 4, shuffle=False).epoch_batches())
    assert len(batch["ids"]) == 122


def test_bad_samples_are_left_out_counted_and_never_break_the_budget(tmp_path: Any) -> None:
    records = proteins(60)
    for i in (3, 17, 40):
        records[i] = Record("MK1T", f"record {i}")
    bad = tmp_path / "bad.jsonl"
    loader = Loader(records, protein(), 1, batch_tokens=150, bad="skip", bad_path=bad)
    epoch = content(loader, 0, loader.steps_per_epoch)
    assert loader.bad.keys == {"record 3", "record 17", "record 40"} and len(bad.read_text().splitlines()) == 3
    assert sum(len(cu) - 1 for _, cu in epoch) >= 57 and max(len(ids) for ids, _ in epoch) <= 150
    with pytest.raises(UserError, match="record (3|17|40): '1' at place 3 is a digit"):
        content(Loader(records, protein(), 1, batch_tokens=150), 0, loader.steps_per_epoch)


def test_a_batch_of_bad_samples_alone_takes_another() -> None:
    records = [*proteins(6, most=12), Record("1" * 100, "bad")]
    loader = Loader(records, protein(), 1, batch_tokens=102, bad="skip")
    found = content(loader, 0, 12)
    assert len(found) == 12 and all(ids for ids, _ in found)
    assert content(loader, 5, 7) == found[5:]


def test_what_has_no_lengths_is_an_error_of_one_line() -> None:
    class Toy(type(protein())):  # type: ignore[misc]
        def token_lengths(self, lengths: Any) -> Any:
            return None

    with pytest.raises(UserError, match="not packed"):
        Loader(proteins(), Toy(), 1, batch_tokens=100)
    with pytest.raises(UserError, match="length is not known"):
        Loader([Record(3, "three")], protein(), 1, batch_tokens=100)
    with pytest.raises(UserError, match="2 sequences"):
        Loader(proteins(2), protein(), 1, batch_tokens=100, world=3)


def test_what_a_run_says_of_its_batches() -> None:
    modality = protein(max_length=50, overlap=4)
    loader = Loader([*proteins(), Record("A" * 90, "long")], modality, 1, batch_tokens=40)
    assert isinstance(loader.order, BudgetOrder)
    said = " / ".join(packing_report(loader.order, modality))
    assert "121 sequences" in said and "no padding" in said and "limit of 52 tokens" in said and "stand alone" in said
