"""Splits by name over all samples of a data set: ``random``, and those by groups that a modality knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskedmod.core.modality import BadSample, Modality, Record
from maskedmod.core.unexpected import as_bad_sample
from maskedmod.errors import UserError, unknown
from maskedmod.evaluate.grouped import Parts, grouped_parts, random_parts
from maskedmod.evaluate.splits import Trial, digest


def check_split(name: str, modality: Modality) -> None:
    """UserError for a name that neither ``random`` nor the modality's own groupings have."""
    known = ["random", *modality.groupings()]
    if name not in known:
        raise unknown("split", name, known)


def whole(source: Any, modality: Modality) -> Sequence[Record]:
    """All records of a source in the order of its files; of one that has no such order, training before validation."""
    if hasattr(source, "everything"):
        return list(source.everything(modality))
    records: list[Record] = []
    for part in ("train", "val"):
        found = source.records(part, modality)
        if not hasattr(found, "__len__"):
            raise UserError("split: a stream cannot be split anew; name files with data.path")
        records += list(found)
    return records


def named_trials(name: str, records: Sequence[Record], keys: Sequence[str], modality: Modality, seeds: int) -> list[Trial]:
    """One split for every seed over all ``records`` that have a group, as rows of ``keys``, which are those that have features:
    what a model cannot read is missing from its side and moves nothing else. A split that draws nothing is the same for all
    seeds. The validation part is left out of both sides: settings are chosen inside the training part."""
    row = {key: i for i, key in enumerate(keys)}
    if name == "random":
        parts = [random_parts(len(records), seed) for seed in range(seeds)]
        return [_trial(part, seed, [row.get(record.key) for record in records]) for seed, part in enumerate(parts)]
    grouping = modality.groupings()[name]
    groups: list[str] = []
    rows: list[int | None] = []
    for record in records:
        try:
            with as_bad_sample():
                groups.append(grouping.group(record))
        except BadSample:
            continue
        rows.append(row.get(record.key))
    return [_trial(grouped_parts(groups, grouping.rule, seed), seed, rows) for seed in range(seeds)]


def facts(name: str, data: str, cuts: Sequence[Trial], keys: Sequence[str]) -> dict[str, Any]:
    """Name, sizes and hashes of the split of the first seed; under ``cuts`` those of every seed."""
    rows = []
    for cut in cuts:
        parts = {"train": cut.train, "val": cut.val, "test": cut.test}
        row: dict[str, Any] = {"seed": cut.seed}
        for part, chosen in parts.items():
            assert chosen is not None
            row[part] = len(chosen)
            row[f"{part}_sha256"] = digest([keys[i] for i in chosen], keys)
        rows.append(row)
    first = {key: value for key, value in rows[0].items() if key != "seed"}
    return {"name": f"{data}, {name}", "folds": 0, **first, "cuts": rows}


def _trial(parts: Parts, seed: int, rows: Sequence[int | None]) -> Trial:
    every = (parts.train, parts.val, parts.test)
    train, val, test = (np.array([found for i in part if (found := rows[i]) is not None], np.int64) for part in every)
    return Trial(train, test, seed, val)
