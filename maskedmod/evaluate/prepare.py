"""From checkpoints and data words to one table of features: training rows first, then test rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from maskedmod.build import build_encoder, build_source
from maskedmod.errors import UserError
from maskedmod.evaluate.features import POOLS, Features, Pool, Reader, encoder_reader, extract
from maskedmod.evaluate.labels import missing
from maskedmod.evaluate.named_splits import check_split, named_trials, whole
from maskedmod.evaluate.splits import Trial, disjoint
from maskedmod.modality import Modality, Record
from maskedmod.zoo.load import Loaded, load

TRAINED, RANDOM, RAW = "pre-trained", "random initialisation", "raw features"
ROWS = (TRAINED, RANDOM, RAW)


@dataclass(frozen=True)
class Settings:
    """``pool``: see ``features.pooled``. ``encoder``: the student, or its teacher. ``seeds``: how many. ``folds``: 0 for the data
    source's own split, else that many folds over all its samples. ``split``: a named split over all samples, ``random`` or one of
    the modality's, in place of the source's own. ``samples``: at most so many training samples, drawn with
    seed 0 (None: all). ``device``: None takes a GPU when there is one."""

    pool: Pool = "mean"
    encoder: Literal["student", "teacher"] = "student"
    seeds: int = 3
    folds: int = 0
    split: str | None = None
    samples: int | None = None
    batch_size: int = 128
    workers: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        for name, value, accepted in (
            ("pool", self.pool, POOLS),
            ("encoder", self.encoder, ("student", "teacher")),
        ):
            if value not in accepted:
                raise UserError(f"{name}={value}: accepted are {', '.join(accepted)}")
        for name, number, least in (("seeds", self.seeds, 1), ("batch_size", self.batch_size, 1), ("workers", self.workers, 0)):
            if number < least:
                raise UserError(f"{name}={number}: must be at least {least}")
        if self.folds < 0 or self.folds == 1 or (self.samples is not None and self.samples < 1):
            raise UserError(f"folds={self.folds}, samples={self.samples}: no folds or at least 2, and at least 1 sample")
        if self.folds and self.split:
            raise UserError(f"folds={self.folds} and split={self.split} are two ways to judge; give one")


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


def table(checkpoints: Sequence[str | Path], data: Sequence[str], settings: Settings) -> Table:
    """Features of both parts under every checkpoint, every random initialisation and the modality's raw features. Rows without
    a label are left out and counted. UserError when nothing is left, or when the two parts share a sample."""
    if not checkpoints:
        raise UserError("name what is to be judged: checkpoint=RUN")
    loaded = [load(path) for path in checkpoints]
    tree = _with_data(loaded[0].tree, data)
    device = settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    source = build_source(tree)
    notes: list[str] = []

    def features(records: Any, part: str) -> Features:
        passes = [extract(one.model.modality, records, _readers(i, one, tree, settings, device),
                          settings.batch_size, device, settings.workers) for i, one in enumerate(loaded)]  # fmt: skip
        return _labelled(_merged(passes), part, notes)

    if settings.split:
        return _cut(source, features, _written(tree["data"]), loaded[0].model.modality, settings, notes)
    parts: list[Features | None] = []
    for split in ("train", "val"):
        records = source.records(split, loaded[0].model.modality)
        if split == "train" and settings.samples is not None:
            records = _draw(records, settings.samples)
        if split == "val" and hasattr(records, "__len__") and not len(records):
            parts.append(None)
            continue
        parts.append(features(records, split))
    train, test = parts
    assert train is not None
    if test is None and not settings.folds:
        raise UserError("the data have no test part: give data.val_path, data.val_pattern or data.val_fraction, or folds=10")
    disjoint(train.keys, test.keys if test else [])
    return _joined(train, test, f"{_written(tree['data'])}, train / val", notes + list(getattr(source, "notes", [])))


def _cut(
    source: Any,
    features: Callable[[Any, str], Features],
    data: str,
    modality: Modality,
    settings: Settings,
    notes: list[str],
) -> Table:
    """All samples in one part, with the trials of a named split over them."""
    assert settings.split is not None
    check_split(settings.split, modality)
    records: Any = whole(source, modality)
    if settings.samples is not None:
        records = _draw(records, settings.samples)
    found = features(records, "data")
    cuts = named_trials(settings.split, records, found.keys, modality, settings.seeds)
    held = len(cuts[0].val) if cuts[0].val is not None else 0
    notes.append(f"split {settings.split}: {held} samples, its validation part, are on neither side")
    joined = _joined(found, None, data, notes + list(getattr(source, "notes", [])))
    return replace(joined, cuts=cuts)


def _readers(number: int, one: Loaded, tree: dict[str, Any], settings: Settings, device: str) -> dict[str, Reader]:
    """The checkpoint's encoder; in the first pass the baselines too."""
    modality = one.model.modality
    chosen: nn.Module = one.model.encoder
    if settings.encoder == "teacher":
        if one.model.teacher is None or not isinstance(getattr(one.model.teacher, "encoder", None), nn.Module):
            raise UserError("encoder=teacher: this model has no teacher with an encoder of its own")
        chosen = one.model.teacher.encoder  # type: ignore[assignment]
    readers = {f"{TRAINED}:{number}": encoder_reader(chosen.to(device), modality, settings.pool)}
    if number == 0:
        for seed in range(settings.seeds):
            encoder = _untrained(tree, modality, seed).to(device)
            readers[f"{RANDOM}:{seed}"] = encoder_reader(encoder, modality, settings.pool)
        readers[f"{RAW}:0"] = modality.raw_features
    return readers


def _untrained(tree: dict[str, Any], modality: Modality, seed: int) -> nn.Module:
    """The recipe's encoder with the first weights of this seed; the random state of the CPU is as before afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_encoder(tree, modality)


def _with_data(tree: dict[str, Any], data: Sequence[str]) -> dict[str, Any]:
    """The model's recipe with the data words laid over it."""
    from maskedmod.config import with_words

    for word in data:
        if not word.startswith(("data=", "data.")):
            raise UserError(f"{word!r}: only the data can be changed here, with data=NAME or data.KEY=VALUE")
    return with_words(tree, data)


def _draw(records: Any, count: int) -> Any:
    """``count`` records drawn with seed 0, in their order."""
    if not isinstance(records, Sequence):
        raise UserError("samples: a stream cannot be drawn from; leave it out")
    if len(records) <= count:
        return records
    rows = np.sort(np.random.default_rng(0).permutation(len(records))[:count])
    return Drawn(records, rows.tolist())


class Drawn(Sequence[Record]):
    """Some of the records."""

    def __init__(self, records: Sequence[Record], rows: list[int]) -> None:
        self.records, self.rows = records, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.records[self.rows[index]]


def _merged(passes: Sequence[Features]) -> Features:
    """Passes over the same records, side by side."""
    first = passes[0]
    assert all(one.keys == first.keys for one in passes), "the same records were read differently"
    return replace(first, x={name: values for one in passes for name, values in one.x.items()})


def _labelled(found: Features, split: str, notes: list[str]) -> Features:
    """Rows that have a label; what is left out is noted."""
    if found.bad:
        notes.append(f"{split}: {found.bad} samples could not be read and are left out")
    rows = [i for i, label in enumerate(found.labels) if not missing(label)]
    if not rows:
        raise UserError(f"{split}: no sample has a label; see data.label or data.label_column")
    if len(rows) == len(found.labels):
        return found
    notes.append(f"{split}: {len(found.labels) - len(rows)} samples without a label are left out")
    picked = [[column[i] for i in rows] for column in (found.labels, found.keys, found.groups)]
    return Features({name: values[rows] for name, values in found.x.items()}, picked[0], picked[1], picked[2], found.bad)


def _joined(train: Features, test: Features | None, name: str, notes: list[str]) -> Table:
    x: dict[str, list[Tensor]] = {row: [] for row in ROWS}
    for key, values in train.x.items():
        x[key.partition(":")[0]].append(values if test is None else torch.cat([values, test.x[key]]))
    rest = ([], [], []) if test is None else (test.labels, test.keys, test.groups)
    labels, keys, groups = ([*a, *b] for a, b in zip((train.labels, train.keys, train.groups), rest, strict=True))
    return Table(x, labels, keys, groups, len(train.keys), name, notes)


def _written(node: dict[str, Any]) -> str:
    """``folder path=clips/ val_pattern=*_theo_*``: the source with what was set and its path."""
    (name, arguments), *_ = node.items()
    return " ".join([name, *(f"{key}={value}" for key, value in (arguments or {}).items() if value is not None)])
