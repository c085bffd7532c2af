"""Named splits: groups stay on one side, rules as published, hashes that do not move, the whole way through eval."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from maskedmod.modalities.molecule import Molecule, scaffold

from maskedmod.core.modality import Record
from maskedmod.data.sources.csv import Csv
from maskedmod.errors import UserError
from maskedmod.evaluate.grouped import grouped_parts, random_parts
from maskedmod.evaluate.named_splits import check_split, facts, named_trials, whole
from maskedmod.evaluate.settings import Settings
from tests.conftest import shared

RULES: tuple[Any, ...] = ("largest_first", "shuffled", "balanced")
NAMES = ("scaffold_deepchem", "scaffold_pretrain_gnns", "scaffold_random", "scaffold_balanced")


HASHES = {
    "scaffold_deepchem": "50d2e5da5121",
    "scaffold_pretrain_gnns": "cd7b0da8fae7",
    "scaffold_random": "e7a17b462d60",
    "scaffold_balanced": "3e9a4f1be9ec",
}
"""First letters of the sha256 of the test rows of BBBP, seed 0."""


def some_groups(count: int = 500) -> list[str]:
    rng = random.Random(0)
    return [f"g{int(rng.paretovariate(0.7)) % 120}" for _ in range(count)]


@pytest.mark.parametrize("rule", RULES)
def test_groups_stay_together(rule: Any) -> None:
    names = np.array(some_groups())
    parts = grouped_parts(names.tolist(), rule, 0)
    rows = np.concatenate([parts.train, parts.val, parts.test])
    assert sorted(rows.tolist()) == list(range(500))
    sides = [set(names[part]) for part in (parts.train, parts.val, parts.test)]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    assert 0.75 <= len(parts.train) / 500 <= 0.9
    other = grouped_parts(names.tolist(), rule, 1)
    assert np.array_equal(parts.test, other.test) == (rule == "largest_first")


def test_largest_first_is_the_published_rule() -> None:
    """Twelve rows by hand: sizes 5 (rows 0-4), 3 (5-7), 2 (8, 9), 1 (10), 1 (11); ties go to the later first row."""
    names = ["a"] * 5 + ["b"] * 3 + ["c"] * 2 + ["d", "e"]
    parts = grouped_parts(names, "largest_first", 0, (0.6, 0.2, 0.2))
    # at most 7.2 train, at most 9.6 train + val: a -> 5; b does not fit in training nor (8 <= 9.6) so validates; c -> 7 trains;
    # e: 8 > 7.2, 5 + 2 + 3 + 1 = 11 > 9.6, so it is tested, and so is d
    assert parts.train.tolist() == [0, 1, 2, 3, 4, 8, 9]
    assert parts.val.tolist() == [5, 6, 7]
    assert parts.test.tolist() == [10, 11]


def test_random_parts() -> None:
    parts = random_parts(101, 3)
    assert [len(parts.train), len(parts.val), len(parts.test)] == [80, 10, 11]
    assert not np.array_equal(parts.test, random_parts(101, 4).test)


def test_an_empty_part_is_an_error() -> None:
    with pytest.raises(UserError, match="leave a part of the split empty"):
        grouped_parts(["a"] * 10, "largest_first", 0)


def test_scaffolds() -> None:
    assert scaffold("CC(=O)Oc1ccccc1C(=O)O", False) == "c1ccccc1" and scaffold("CCO", False) == ""
    left, right = "C[C@H]1CC[C@@H](O1)c1ccccc1", "C[C@H]1CC[C@H](O1)c1ccccc1"
    assert scaffold(left, False) == scaffold(right, False) and scaffold(left, True) != scaffold(right, True)


def test_bbbp() -> None:
    """The four scaffold splits of one data set: no scaffold on two sides, hashes that stay as they are."""
    modality = Molecule()
    path = shared("data/molecules/moleculenet/bbbp.csv")
    records = whole(Csv(str(path), label_columns="numbers"), modality)
    assert len(records) == 2039
    keys, hashes = [r.key for r in records], {}
    for name in NAMES:
        (cut,) = named_trials(name, records, keys, modality, 1)
        told = facts(name, "bbbp", [cut], keys)
        hashes[name] = told["test_sha256"]
        group = modality.groupings()[name].group
        assert not {group(records[i]) for i in cut.train} & {group(records[i]) for i in cut.test}
        assert told["train"] + told["val"] + told["test"] == 2039 and 200 <= told["test"] <= 206
    assert len(set(hashes.values())) == 4
    assert {name: value[:12] for name, value in hashes.items()} == HASHES


def test_what_cannot_be_read_moves_nothing_else() -> None:
    modality = Molecule()
    records = list(modality.demo("train")[:120])
    keys = [record.key for record in records]
    records.insert(3, Record("C1CC", "broken"))
    for name in NAMES:
        (whole_cut,) = named_trials(name, records, keys, modality, 1)
        (cut,) = named_trials(name, records, keys[1:], modality, 1)
        for part in ("train", "val", "test"):
            assert [keys[i] for i in getattr(whole_cut, part) if i] == [keys[1:][i] for i in getattr(cut, part)]


def test_names_are_checked() -> None:
    check_split("random", Molecule())
    with pytest.raises(UserError, match="scaffold_deepchem"):
        check_split("scaffold_depchem", Molecule())
    with pytest.raises(UserError, match="two ways"):
        Settings(folds=5, split="random")


def test_eval_with_a_named_split(tmp_path: Path) -> None:
    from maskedmod.api.evaluate import evaluate
    from maskedmod.recipe.config import resolve
    from maskedmod.train.run import train

    small = ["encoder.depth=1", "encoder.width=16", "encoder.heads=2", "train.steps=2", "data.samples=64", "train.val_batches=1"]
    words = [*small, "train.baseline_batches=1", "train.batch_tokens=512"]
    train(resolve(["recipe=smiles_bert", "preset=demo", *words, f"out={tmp_path / 'run'}"]))
    lines = [f"{r.data},{int(r.label > 40)},{'' if i % 7 else 1}" for i, r in enumerate(Molecule().demo("train")[:100])]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["smiles,polar,rare", *lines, "C1CC,1,0"]))
    data = ["data=csv", f"data.path={table}", "data.label_columns=numbers"]
    result = evaluate([tmp_path / "run"], "linear", data, Settings(split="scaffold_random", seeds=2), grid=[0.1], iterations=20)
    told = result.to_json()
    assert [len(row.trials) for row in result.rows] == [2, 2, 2]
    assert {"map", "roc_auc"} == set(told["metrics"]) and len(told["split"]["cuts"]) == 2
    assert told["split"]["cuts"][0]["test_sha256"] != told["split"]["cuts"][1]["test_sha256"]
    assert any("1 samples could not be read" in note for note in told["notes"])
    assert "scaffold_random" in result.text()
