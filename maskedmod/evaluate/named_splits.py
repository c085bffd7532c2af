"""Splits by name over all samples of a data set: ``random``, and those by groups that a modality knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maskedmod.errors import UserError, unknown
from maskedmod.evaluate.grouped import Parts, grouped_parts, random_parts
from maskedmod.evaluate.splits import Trial, digest
from maskedmod.modality import BadSample, Modality, Record


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
    """One split for every seed over the rows called ``keys``, which are some of ``records``. A split that draws nothing is the
    same for all seeds. The validation part is left out of both sides: settings are chosen inside the training part."""
    if name == "random":
        return [_trial(random_parts(len(keys), seed), seed) for seed in range(seeds)]
    grouping = modality.groupings()[name]
    by_key = {record.key: record for record in records}
    try:
        groups = [grouping.group(by_key[key]) for key in keys]
    except BadSample as error:
        raise UserError(f"split={name}: {error}") from None
    return [_trial(grouped_parts(groups, grouping.rule, seed), seed) for seed in range(seeds)]


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


def _trial(parts: Parts, seed: int) -> Trial:
    return Trial(parts.train, parts.test, seed, parts.val)
