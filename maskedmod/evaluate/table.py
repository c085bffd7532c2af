"""One table of features from a data source: its own two parts, or all samples under a named split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from maskedmod.core.modality import Modality, Record
from maskedmod.errors import UserError
from maskedmod.evaluate.chosen import Chosen, draw
from maskedmod.evaluate.features import Features, Reader, extract
from maskedmod.evaluate.labels import minus_one, minus_one_is_missing, missing
from maskedmod.evaluate.named_splits import check_split, named_trials, whole
from maskedmod.evaluate.settings import Settings
from maskedmod.evaluate.splits import Trial, disjoint
from maskedmod.evaluate.token_table import extract_tokens, one_sample, token_trials
from maskedmod.recipe.build import build_source

Passes = Sequence[tuple[Modality, dict[str, Reader]]]
Found = tuple["Table", list[Any], list[tuple[int, int]]]
"""The table, the records of its parts, and where among them each row of the table is: part and number there."""


@dataclass(frozen=True)
class Table:
    """``x[row][i]``: features ``[n, D]`` of the i-th checkpoint or seed. The first ``train`` rows are the training part; with
    ``cuts``, a named split, all rows are there and these say which are on which side."""

    x: dict[str, list[Tensor]]
    labels: list[Any]
    keys: list[str]
    groups: list[str]
    train: int
    name: str
    notes: list[str] = field(default_factory=list)
    cuts: list[Trial] = field(default_factory=list)


def read_table(tree: dict[str, Any], passes: Passes, settings: Settings, any_order: bool = False, numbers: bool = False) -> Found:
    """Read the data of ``tree`` once a pass. ``any_order``: streams are refused. ``numbers``: labels are numbers."""
    source = build_source(tree)
    notes: list[str] = []
    name = _written(tree["data"])
    if settings.level == "token" and (alone := one_sample(source, passes[0][0])):
        found = _tokens_of_one(alone, passes, name, settings, notes, numbers)
    elif settings.split:
        found = _under_split(source, passes, name, settings, notes, numbers)
    else:
        found = _own_parts(source, passes, name, settings, notes, any_order, numbers)
    found[0].notes.extend(getattr(source, "notes", []))
    return found


def _own_parts(
    source: Any, passes: Passes, name: str, settings: Settings, notes: list[str], any_order: bool, numbers: bool
) -> Found:
    """Training and validation part of the source."""
    parts: list[Any] = []
    found: list[Features | None] = []
    for split in ("train", "val"):
        records = source.records(split, passes[0][0])
        if any_order and not isinstance(records, Sequence):
            raise UserError("training on labels needs samples that can be read in any order; this source is a stream")
        if split == "train" and settings.samples is not None:
            records = draw(records, settings.samples)
        parts.append(records)
        empty = split == "val" and hasattr(records, "__len__") and not len(records)
        found.append(None if empty else _features(records, passes, settings))
    marks = minus_one_is_missing([label for one in found if one for label in one.labels], numbers)
    train, test = (one and _labelled(one, split, notes, marks) for one, split in zip(found, ("train", "val"), strict=True))
    assert train is not None
    if test is None and not settings.folds:
        raise UserError("the data have no test part: give data.val_path, data.val_pattern or data.val_fraction, or folds=10")
    if test is not None and train.keys == test.keys and len(train.keys) == 1:
        raise UserError(f"{train.keys[0]} is one sample, in training and validation alike; level=token judges its tokens")
    disjoint(train.keys, test.keys if test else [])
    places = [(part, i) for part, one in enumerate((train, test)) if one is not None for i in one.places]
    return _joined(train, test, f"{name}, train / val", notes), parts, places


def _under_split(source: Any, passes: Passes, name: str, settings: Settings, notes: list[str], numbers: bool) -> Found:
    """All samples in one part, with the trials of a named split over them."""
    assert settings.split is not None
    modality = passes[0][0]
    check_split(settings.split, modality)
    records: Any = whole(source, modality)
    if settings.samples is not None:
        records = draw(records, settings.samples)
    found = _features(records, passes, settings)
    found = _labelled(found, "data", notes, minus_one_is_missing(found.labels, numbers))
    cuts = named_trials(settings.split, records, found.keys, modality, settings.seeds)
    held = len(cuts[0].val) if cuts[0].val is not None else 0
    notes.append(f"split {settings.split}: {held} samples, its validation part, are on neither side")
    return replace(_joined(found, None, name, notes), cuts=cuts), [records], [(0, i) for i in found.places]


def _tokens_of_one(
    records: Sequence[Record], passes: Passes, name: str, settings: Settings, notes: list[str], numbers: bool
) -> Found:
    """The tokens of one sample, with the split that comes with it."""
    found = _features(records, passes, settings)
    found = _labelled(found, "data", notes, minus_one_is_missing(found.labels, numbers))
    cuts = token_trials(records[0], found, settings)
    return replace(_joined(found, None, name, notes), cuts=cuts), [records], [(0, i) for i in found.places]


def _features(records: Any, passes: Passes, settings: Settings) -> Features:
    """All rows, under the readers of all passes."""
    numbered = Chosen([records], [(0, i) for i in range(len(records))]) if isinstance(records, Sequence) else records
    if settings.level == "token":
        each = [extract_tokens(modality, records, readers, settings.batch_size, settings.place) for modality, readers in passes]
    else:
        each = [extract(modality, numbered, readers, settings.batch_size, settings.place, settings.workers)
                for modality, readers in passes]  # fmt: skip
    return _merged(each)


def _merged(passes: Sequence[Features]) -> Features:
    """Passes over the same records, side by side."""
    first = passes[0]
    assert all(one.keys == first.keys for one in passes), "the same records were read differently"
    return replace(first, x={name: values for one in passes for name, values in one.x.items()})


def _labelled(found: Features, split: str, notes: list[str], marks: bool) -> Features:
    """Rows that have a label; what is left out is noted. ``marks``: the label -1 stands for none."""
    notes.extend(f"{split}: {line}" for line in found.said)
    marked = sum(marks and minus_one(label) for label in found.labels)
    rows = [i for i, label in enumerate(found.labels) if not (missing(label) or (marks and minus_one(label)))]
    if not rows:
        raise UserError(f"{split}: no sample has a label; see data.label or data.label_column")
    if len(rows) == len(found.labels):
        return found
    if without := len(found.labels) - len(rows) - marked:
        notes.append(f"{split}: {without} samples without a label are left out")
    if marked:
        notes.append(f"{split}: {marked} samples with the label -1, taken for no label, are left out")
    return Features(
        {name: values[rows] for name, values in found.x.items()},
        [found.labels[i] for i in rows],
        [found.keys[i] for i in rows],
        [found.groups[i] for i in rows],
        found.bad,
        [found.places[i] for i in rows],
        found.said,
    )


def _joined(train: Features, test: Features | None, name: str, notes: list[str]) -> Table:
    x: dict[str, list[Tensor]] = {}
    for key, values in train.x.items():
        x.setdefault(key.partition(":")[0], []).append(values if test is None else torch.cat([values, test.x[key]]))
    rest = ([], [], []) if test is None else (test.labels, test.keys, test.groups)
    labels, keys, groups = ([*a, *b] for a, b in zip((train.labels, train.keys, train.groups), rest, strict=True))
    return Table(x, labels, keys, groups, len(train.keys), name, notes)


def _written(node: dict[str, Any]) -> str:
    """``folder path=clips/ val_pattern=*_theo_*``: the source with what was set and its path."""
    (name, arguments), *_ = node.items()
    return " ".join([name, *(f"{key}={value}" for key, value in (arguments or {}).items() if value is not None)])
