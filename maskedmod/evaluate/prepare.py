"""From checkpoints and data words to one table of features: training rows first, then test rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from maskedmod.build import build_encoder, build_source
from maskedmod.encoders import Encoder
from maskedmod.errors import UserError
from maskedmod.evaluate.chosen import Chosen, draw
from maskedmod.evaluate.features import POOLS, Features, Pool, Reader, encoder_reader, extract
from maskedmod.evaluate.labels import missing
from maskedmod.evaluate.splits import disjoint
from maskedmod.modality import Modality
from maskedmod.zoo.load import Loaded, load

TRAINED, RANDOM, RAW = "pre-trained", "random initialisation", "raw features"
ROWS = (TRAINED, RANDOM, RAW)


@dataclass(frozen=True)
class Settings:
    """``pool``: see ``features.pooled``. ``encoder``: the student, or its teacher. ``seeds``: how many. ``folds``: 0 for the data
    source's own split, else that many folds over all its samples. ``samples``: at most so many training samples, drawn with
    seed 0 (None: all). ``device``: None takes a GPU when there is one."""

    pool: Pool = "mean"
    encoder: Literal["student", "teacher"] = "student"
    seeds: int = 3
    folds: int = 0
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

    @property
    def place(self) -> str:
        """The device that is meant."""
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Table:
    """``x[row][i]``: features ``[n, D]`` of the i-th checkpoint or seed. The first ``train`` rows are the training part."""

    x: dict[str, list[Tensor]]
    labels: list[Any]
    keys: list[str]
    groups: list[str]
    train: int
    name: str
    notes: list[str] = field(default_factory=list)


def table(checkpoints: Sequence[str | Path], data: Sequence[str], settings: Settings) -> Table:
    """Features of both parts under every checkpoint, every random initialisation and the modality's raw features. Rows without
    a label are left out and counted. UserError when nothing is left, or when the two parts share a sample."""
    loaded, tree = _loaded(checkpoints, data)
    passes = [(one.model.modality, _readers(i, one, tree, settings)) for i, one in enumerate(loaded)]
    return _read(tree, passes, settings)[0]


@dataclass(frozen=True)
class Survey:
    """Everything but features of encoders. ``table``: its only row of features is that of the raw ones. ``encoders``: to be
    judged, one a checkpoint. ``parts``: records of the training and test part; ``places[i]``: part and number there of the
    table's row i. ``counts`` ``[n, 2]``: valid and maskable tokens of every sample."""

    loaded: list[Loaded]
    encoders: list[nn.Module]
    tree: dict[str, Any]
    table: Table
    parts: list[Any]
    places: list[tuple[int, int]]
    counts: Tensor


def survey(checkpoints: Sequence[str | Path], data: Sequence[str], settings: Settings) -> Survey:
    """Read all samples once. UserError as in ``table``, and for streams, whose samples cannot be read in any order."""
    from maskedmod.evaluate.finetune.tokens import counts

    loaded, tree = _loaded(checkpoints, data)
    encoders = [_judged(one, settings) for one in loaded]
    modality = loaded[0].model.modality
    readers = {f"{RAW}:0": modality.raw_features, "counts:0": lambda b: counts(next(iter(modality.tokenize(b).values())))}
    found, parts, places = _read(tree, [(modality, readers)], settings, any_order=True)
    return Survey(loaded, encoders, tree, found, parts, places, found.x.pop("counts")[0])


def _loaded(checkpoints: Sequence[str | Path], data: Sequence[str]) -> tuple[list[Loaded], dict[str, Any]]:
    if not checkpoints:
        raise UserError("name what is to be judged: checkpoint=RUN")
    loaded = [load(path) for path in checkpoints]
    return loaded, _with_data(loaded[0].tree, data)


def _read(
    tree: dict[str, Any], passes: Sequence[tuple[Modality, dict[str, Reader]]], settings: Settings, any_order: bool = False
) -> tuple[Table, list[Any], list[tuple[int, int]]]:
    """-> the table, the records of both parts, and where among them each row of the table is."""
    source = build_source(tree)
    parts: list[Any] = []
    found: list[Features | None] = []
    notes: list[str] = []
    for split in ("train", "val"):
        records = source.records(split, passes[0][0])
        if any_order and not isinstance(records, Sequence):
            raise UserError("training on labels needs samples that can be read in any order; this source is a stream")
        if split == "train" and settings.samples is not None:
            records = draw(records, settings.samples)
        parts.append(records)
        if split == "val" and hasattr(records, "__len__") and not len(records):
            found.append(None)
            continue
        numbered = Chosen([records], [(0, i) for i in range(len(records))]) if isinstance(records, Sequence) else records
        each = [extract(modality, numbered, readers, settings.batch_size, settings.place, settings.workers)
                for modality, readers in passes]  # fmt: skip
        found.append(_labelled(_merged(each), split, notes))
    train, test = found
    assert train is not None
    if test is None and not settings.folds:
        raise UserError("the data have no test part: give data.val_path, data.val_pattern or data.val_fraction, or folds=10")
    disjoint(train.keys, test.keys if test else [])
    places = [(part, i) for part, one in enumerate(found) if one is not None for i in one.places]
    name = f"{_written(tree['data'])}, train / val"
    return _joined(train, test, name, notes + list(getattr(source, "notes", []))), parts, places


def _judged(one: Loaded, settings: Settings) -> nn.Module:
    """The student's encoder, or the teacher's."""
    if settings.encoder == "student":
        return one.model.encoder
    teacher = getattr(one.model.teacher, "encoder", None)
    if not isinstance(teacher, nn.Module):
        raise UserError("encoder=teacher: this model has no teacher with an encoder of its own")
    return teacher


def _readers(number: int, one: Loaded, tree: dict[str, Any], settings: Settings) -> dict[str, Reader]:
    """The checkpoint's encoder; in the first pass the baselines too."""
    modality, device = one.model.modality, settings.place
    readers = {f"{TRAINED}:{number}": encoder_reader(_judged(one, settings).to(device), modality, settings.pool)}
    if number == 0:
        for seed in range(settings.seeds):
            encoder = untrained(tree, modality, seed).to(device)
            readers[f"{RANDOM}:{seed}"] = encoder_reader(encoder, modality, settings.pool)
        readers[f"{RAW}:0"] = modality.raw_features
    return readers


def untrained(tree: dict[str, Any], modality: Modality, seed: int) -> Encoder:
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
    return Features(
        {name: values[rows] for name, values in found.x.items()},
        [found.labels[i] for i in rows],
        [found.keys[i] for i in rows],
        [found.groups[i] for i in rows],
        found.bad,
        [found.places[i] for i in rows],
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
