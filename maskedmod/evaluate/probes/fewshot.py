"""Few-shot episodes: a few classes, a few labelled samples of each, and a classifier on frozen features."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.evaluate.labels import Labels
from maskedmod.evaluate.metrics import measure
from maskedmod.evaluate.probes.linear import Linear
from maskedmod.evaluate.probes.probe import Known, Probe
from maskedmod.evaluate.probes.svm import Svm
from maskedmod.evaluate.result import Row
from maskedmod.evaluate.splits import Trial, digest
from maskedmod.evaluate.table import Table

CLASSIFIERS = ("svm", "linear")


@dataclass(frozen=True)
class Episode:
    """``classes`` int64 ``[ways]``: their numbers among all; rows to learn from and rows to judge on."""

    classes: np.ndarray
    trial: Trial


class Fewshot(Probe):
    """Episodes of ``ways`` classes with ``shots`` labelled samples each and ``queries`` others of each to be told (Sharma and
    Kaul 2020, section 5.2; Point-BERT, Yu et al. 2022, section 4.2: 5 or 10 ways, 10 or 20 shots, 20 queries, 10 episodes).

    Labelled samples come from the training part, queries from the test part; a class takes part when it has ``shots`` of the
    former and at least one of the latter, and gives as many queries as it has, up to ``queries``. ``classifier``: svm or linear
    (logistic regression), on features standardised over the labelled samples, with this ``C``: a few samples leave none to choose
    it on. Episode i is drawn by seed i alone, the same for all kinds of features.
    """

    tasks = ("classes",)

    def __init__(
        self, ways: int = 5, shots: int = 10, episodes: int = 10, queries: int = 20, classifier: str = "svm", C: float = 0.1
    ) -> None:
        if classifier not in CLASSIFIERS:
            raise UserError(f"classifier={classifier}: accepted are {', '.join(CLASSIFIERS)}")
        for name, number, least in (("ways", ways, 2), ("shots", shots, 1), ("episodes", episodes, 1), ("queries", queries, 1)):
            if number < least:
                raise UserError(f"{name}={number}: must be at least {least}")
        if C <= 0:
            raise UserError(f"C={C}: must be above 0")
        self.ways, self.shots, self.episodes, self.queries = ways, shots, episodes, queries
        self.probe: Probe = Svm(grid=[C]) if classifier == "svm" else Linear(grid=[C])

    def predict(self, known: Known, test: Tensor, seed: int) -> tuple[Tensor, dict[str, Any]]:
        """Scores ``[n, ways]`` of one episode, whose labels are numbered from 0."""
        return self.probe.predict(known, test, seed)

    def draw(self, labels: Labels, cuts: Sequence[Trial]) -> list[Episode]:
        """The episodes; episode i has the parts of ``cuts[i % len(cuts)]``. UserError with too few classes."""
        return [self._episode(labels, cuts[seed % len(cuts)], seed) for seed in range(self.episodes)]

    def row(self, name: str, found: Table, labels: Labels, episodes: Sequence[Episode]) -> Row:
        """One kind of features, every variant of it (checkpoint or seed) under every episode."""
        scores, chosen = [], []
        for x in found.x[name]:
            for episode in episodes:
                cut, own = episode.trial, _renumbered(labels, episode.classes)
                part = replace(own, y=own.y[cut.train])
                guess, setting = self.predict(Known(x[cut.train], part, _rows(cut.train)), x[cut.test], cut.seed)
                scores.append(measure("classes", guess, own.y[cut.test]))
                chosen.append(setting)
        return Row(name, scores, chosen)

    def facts(self, found: Table, labels: Labels, episodes: Sequence[Episode]) -> dict[str, Any]:
        """Name, sizes and hashes of what was drawn. ``train`` and ``test`` are those of the first episode."""
        cuts: list[dict[str, Any]] = []
        for episode in episodes:
            names = [labels.names[i] for i in episode.classes]
            parts = {"train": episode.trial.train, "test": episode.trial.test}
            hashes = {f"{part}_sha256": digest([found.keys[i] for i in rows], found.keys) for part, rows in parts.items()}
            sizes = {part: len(rows) for part, rows in parts.items()}
            cuts.append({"seed": episode.trial.seed, "classes": names, **sizes, **hashes})
        whole = hashlib.sha256("".join(cut["train_sha256"] + cut["test_sha256"] for cut in cuts).encode()).hexdigest()
        first = {key: value for key, value in cuts[0].items() if key not in ("seed", "classes")}
        name = f"{found.name}, {self.episodes} episodes of {self.ways} ways and {self.shots} shots"
        return {"name": name, "folds": 0, **first, "episodes_sha256": whole, "cuts": cuts}

    def notes(self, episodes: Sequence[Episode]) -> list[str]:
        """Said where classes have fewer queries than asked."""
        fewest = min(len(episode.trial.test) for episode in episodes)
        full = self.ways * self.queries
        said = f"some classes have fewer than {self.queries} queries: {fewest} of {full} in one episode"
        return [] if fewest == full else [said]

    def _episode(self, labels: Labels, cut: Trial, seed: int) -> Episode:
        train, test = _by_class(labels.y, cut.train), _by_class(labels.y, cut.test)
        fit = [c for c, rows in train.items() if len(rows) >= self.shots and c in test]
        if len(fit) < self.ways:
            have = f"{len(fit)} classes have {self.shots} training samples and one to be judged"
            raise UserError(f"ways={self.ways}, shots={self.shots}: only {have}")
        rng = np.random.default_rng(seed)
        classes = np.sort(rng.permutation(fit)[: self.ways])
        support = np.concatenate([rng.permutation(train[c])[: self.shots] for c in classes])
        asked = np.concatenate([rng.permutation(test[c])[: self.queries] for c in classes])
        return Episode(classes, Trial(np.sort(support), np.sort(asked), seed))


def _by_class(y: Tensor, rows: np.ndarray) -> dict[int, np.ndarray]:
    of = y.numpy()[rows]
    return {int(c): rows[of == c] for c in np.unique(of) if c >= 0}


def _renumbered(labels: Labels, classes: np.ndarray) -> Labels:
    """Labels with the classes of an episode numbered from 0, all others -1."""
    number = torch.full((len(labels.names),), -1)
    number[torch.from_numpy(classes)] = torch.arange(len(classes))
    return replace(labels, y=number[labels.y], names=tuple(labels.names[i] for i in classes))


def _rows(rows: np.ndarray) -> list[str]:
    """A group of its own for every row."""
    return [str(row) for row in rows]
