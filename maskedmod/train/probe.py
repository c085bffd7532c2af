"""The online probe: what the encoder's features are worth while it trains, and whether they stay healthy."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from maskedmod.core.context import Context, step_seed
from maskedmod.core.health import alignment, feature_health
from maskedmod.core.modality import BadSample, Modality
from maskedmod.core.model import MaskedModel
from maskedmod.data.batches import read, record_at
from maskedmod.data.stream import RecordStream
from maskedmod.errors import UserError
from maskedmod.evaluate.features import pooled
from maskedmod.evaluate.labels import Labels, encode, minus_one, minus_one_is_missing, missing
from maskedmod.evaluate.metrics import measure
from maskedmod.evaluate.probes.knn import Knn
from maskedmod.evaluate.probes.linear import Linear
from maskedmod.evaluate.probes.probe import Known
from maskedmod.evaluate.splits import hold_out
from maskedmod.recipe.settings import TrainSettings
from maskedmod.report.featuremap import save_map
from maskedmod.sequences.windows import encode as encode_whole
from maskedmod.support.devices import to_device
from maskedmod.train.parallel import seed_all

PROBE_SEED = 2**31 - 2
"""Seed of the two sights of a sample that alignment compares: the same ones at every probe of every run."""
FEWEST = 64
"""Validation samples whose features are measured at the end of the shortest run."""
PAIRS = 256
"""Most samples that are seen twice."""


@dataclass
class Part:
    """Samples of one split as they were decoded: collated ``batches``, and of each sample its label, key and group."""

    batches: list[dict[str, Any]]
    labels: list[Any]
    keys: list[str]
    groups: list[str]


class OnlineProbe:
    """Called with the number of steps done -> numbers for metrics.jsonl. Reads its samples once, at the first call; changes
    neither the model nor any random state.

    Accuracy needs ``probe_every``: ``probe_top1`` with ``probe_majority``, the share of the commonest class; ``probe_map`` for
    lists of labels. The health of the validation features needs no label. Without validation samples, a fifth of the training
    samples takes their place.
    """

    def __init__(self, model: MaskedModel, records: dict[str, Any], settings: TrainSettings, out: Path) -> None:
        self.model, self.records, self.settings, self.out = model, records, settings, out
        self.every = settings.probe_every or 0
        self._train: Part | None = None
        self._test: Part | None = None
        self._labels: Labels | None = None
        self._rows: tuple[np.ndarray, np.ndarray] = np.empty(0, np.int64), np.empty(0, np.int64)
        self._have, self._groups = np.empty(0, np.int64), [""]

    @property
    def device(self) -> torch.device:
        """Where the model lies by now."""
        return next(self.model.parameters()).device

    def __call__(self, step: int, last: bool = False) -> dict[str, Any]:
        """Numbers after ``step`` steps; empty with fewer than three samples. ``last``: also write ``feature_map.json``."""
        if self._test is None:
            self._read()
        assert self._test is not None
        if len(self._test.keys) < 3:
            return {}
        with self._still():
            test = self._features(self._test)
            if not bool(test.isfinite().all()):
                return {}
            numbers = {**self._accuracy(test), **feature_health(test), "alignment": self._alignment(self._test)}
        if last:
            save_map(self.out / "feature_map.json", test, self._test.labels, step)
        return numbers

    def _read(self) -> None:
        """All samples, decoded once; then the labels of those that have one, numbered together."""
        modality, size, most = self.model.modality, min(self.settings.batch_size, 128), self.settings.probe_samples
        if not self.every and self.settings.steps is not None:  # nobody asked: a small share of the run's own work
            most = min(most, max(FEWEST, self.settings.steps * self.settings.batch_size // 10))
        most = min(most, modality.held or most)
        if self.every or not _some(self.records["val"]):
            self._train = _part(modality, self.records["train"], most, size)
        self._test = _part(modality, self.records["val"], most, size) if _some(self.records["val"]) else None
        if self._test is None:
            self._test, self._train = self._train, None
        if not self.every:
            return
        assert self._test is not None
        both = [self._test] if self._train is None else [self._train, self._test]
        raw, keys, groups = ([row for part in both for row in getattr(part, name)] for name in ("labels", "keys", "groups"))
        marks = minus_one_is_missing(raw, False)
        if marks:
            _say("probe: the label -1 stands for no label")
        have = np.array(
            [i for i, label in enumerate(raw) if not (missing(label) or (marks and minus_one(label)))], dtype=np.int64
        )
        self._prepare(raw, keys, groups, have, 0 if self._train is None else len(self._train.keys))

    def _prepare(self, raw: list[Any], keys: list[str], groups: list[str], have: np.ndarray, split: int) -> None:
        """Labels as tensors and the rows to learn from and to judge on, of all samples that have a label; or the line that
        says why there is no accuracy."""
        name = self.settings.probe
        try:
            if not len(have):
                raise UserError("no sample has a label")
            labels = encode([raw[i] for i in have], False, [keys[i] for i in have])
            if labels.task not in (Linear if name == "linear" else Knn).tasks:
                raise UserError(f"{name} does not judge lists of labels; train.probe=linear does")
            train, test = np.flatnonzero(have < split), np.flatnonzero(have >= split)
            if not split:
                train, test = hold_out(labels.y, [groups[i] for i in have], 0)
            if not len(train) or not len(test):
                raise UserError("labels are needed in the training and in the validation part")
        except UserError as error:
            _say(f"no probe: {error}; the features' health is measured all the same")
            return
        without = len(keys) - len(have)
        _say(
            f"probe: {name}, {len(train)} samples to learn from, {len(test)} to judge on"
            + (f", {without} without a label left out" if without else "")
        )
        self._labels, self._rows, self._have, self._groups = labels, (train, test), have, [groups[i] for i in have]

    def _accuracy(self, test: Tensor) -> dict[str, float]:
        if self._labels is None:
            return {}
        x = test if self._train is None else torch.cat([self._features(self._train), test])
        x, (train, judged), y = x[self._have], self._rows, self._labels.y
        labels = Labels(self._labels.task, y[train], self._labels.names)
        probe = Linear(grid=[0.1], iterations=50) if self.settings.probe == "linear" else Knn()
        scores, _ = probe.predict(Known(x[train], labels, [self._groups[i] for i in train]), x[judged], 0)
        metric, number = next(iter(measure(labels.task, scores, y[judged]).items()))
        found = {f"probe_{metric}": float(number)}
        if labels.task == "classes":
            found["probe_majority"] = float(y[judged].bincount().max()) / len(judged)
        return found

    def _features(self, part: Part) -> Tensor:
        """``[n, D]`` float32 on the CPU: mean over the tokens of whole samples."""
        modality = self.model.modality
        found = []
        for batch in part.batches:
            prepared = modality.prepare(to_device(batch, self.device), Context(training=False))
            tokens = next(iter(modality.tokenize(prepared).values()))
            found.append(pooled(encode_whole(self.model.encoder, tokens, modality), "mean").float().cpu())
        return torch.cat(found)

    def _alignment(self, part: Part) -> float:
        """Of two augmentations of the first samples; without augmentation, of two masks."""
        augmented = self.model.modality.augment is not None
        sights: list[list[Tensor]] = [[], []]
        seen = 0
        for number, batch in enumerate(part.batches):
            if seen >= PAIRS:
                break
            for which, rows in enumerate(sights):
                rows.append(self._sight(batch, 2 * number + which, augmented).float().cpu())
            seen += len(sights[0][-1])
        return alignment(torch.cat(sights[0]), torch.cat(sights[1]))

    def _sight(self, batch: dict[str, Any], number: int, augmented: bool) -> Tensor:
        generator = torch.Generator(self.device)
        seed_all(step_seed(PROBE_SEED, number), self.device, generator)
        ctx = Context(step=number, max_steps=number + 1, seed=PROBE_SEED, part=number, training=augmented, generator=generator)
        modality = self.model.modality
        tokens = next(iter(modality.tokenize(modality.prepare(to_device(batch, self.device), ctx)).values()))
        if augmented:
            return pooled(encode_whole(self.model.encoder, tokens, modality), "mean")
        view = self.model.view(tokens, ctx)
        found, count = pooled(view.student, "mean"), view.mask.per_sample
        return found[: tokens.batch] if tokens.layout.packed else found[::count]

    @contextmanager
    def _still(self) -> Iterator[None]:
        """Evaluation mode, no gradients; mode and random state are put back."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                yield
        finally:
            self.model.train(was_training)


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


def _some(records: Any) -> bool:
    return records is not None and (not hasattr(records, "__len__") or len(records) > 0)


def _part(modality: Modality, records: Any, most: int, size: int) -> Part:
    """At most ``most`` samples: drawn with seed 0, or the first ones of a stream. Those that cannot be read are left out; the
    loaders of training and validation name them."""
    part, samples = Part([], [], [], []), []
    for number, record in enumerate(_drawn(records, most)):
        seed = step_seed(PROBE_SEED, number) if modality.text else None  # a long sequence is cut as in training
        try:
            samples.append(read(modality, record, seed))
        except BadSample:
            continue
        part.labels.append(record.label)
        part.keys.append(record.key)
        part.groups.append(str(record.extra.get("clip", record.key)))
    part.batches = [modality.collate(samples[i : i + size]) for i in range(0, len(samples), size)]
    return part


def _drawn(records: Sequence[Any] | RecordStream, most: int) -> Iterator[Any]:
    if isinstance(records, RecordStream):
        yield from islice(records.epoch(0, 0, False), most)
        return
    rows = np.arange(len(records))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(0).permutation(len(rows))[:most])
    for row in rows.tolist():
        yield record_at(records, row)
