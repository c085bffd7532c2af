"""Probes on frozen features: every row of a table under every trial."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from torch import Tensor

from maskedmod.errors import UserError, unknown
from maskedmod.evaluate.labels import Labels, encode
from maskedmod.evaluate.metrics import measure
from maskedmod.evaluate.probes.fewshot import Fewshot
from maskedmod.evaluate.probes.probe import Known, Probe
from maskedmod.evaluate.result import Result, Row
from maskedmod.evaluate.settings import RANDOM, ROWS, Settings
from maskedmod.evaluate.splits import Trial
from maskedmod.evaluate.table import Table
from maskedmod.evaluate.trials import facts, few, several, split_of, trials, unseen

PROTOCOLS = ("fewshot", "knn", "linear", "ridge", "svm")


def build(protocol: str, arguments: Mapping[str, Any]) -> Probe:
    """The protocol of this name. UserError names arguments that it does not take."""
    assert protocol in PROTOCOLS
    cls = getattr(import_module(f"maskedmod.evaluate.probes.{protocol}"), protocol.capitalize())
    accepted = list(inspect.signature(cls).parameters)
    for key in arguments:
        if key not in accepted:
            raise unknown("key", key, accepted, f"of protocol={protocol}")
    try:
        return cls(**arguments)  # type: ignore[no-any-return]
    except TypeError as error:
        raise UserError(f"protocol={protocol}: {error}") from None


def judge(found: Table, protocol: str, probe: Probe, settings: Settings, checkpoints: Sequence[str]) -> Result:
    """Every row of the table under every trial."""
    labels = encode(found.labels, "numbers" in probe.tasks, found.keys)
    if labels.task not in probe.tasks:
        what = {"classes": "classes", "tags": "lists of labels", "numbers": "numbers"}[labels.task]
        raise UserError(f"protocol={protocol} does not judge {what}; protocol=linear does")
    cuts = trials(found, labels, settings)
    if isinstance(probe, Fewshot):
        episodes = probe.draw(labels, cuts)
        rows = [probe.row(name, found, labels, episodes) for name in ROWS]
        notes = [*found.notes, *probe.notes(episodes)]
        return Result(protocol, probe.facts(found, labels, episodes), rows, facts(checkpoints, settings), notes)
    several(labels, cuts)
    rows = [probe_row(name, found, labels, probe, cuts, settings) for name in ROWS]
    notes = [*found.notes, *unseen(labels, cuts), *few(cuts)]
    return Result(protocol, split_of(found, settings), rows, facts(checkpoints, settings), notes)


def probe_row(name: str, found: Table, labels: Labels, probe: Probe, cuts: Sequence[Trial], settings: Settings) -> Row:
    """All trials of one kind of features. A random initialisation is judged under the trials of its own seed; several
    checkpoints are dealt out to the seeds when there are as many of them, else each is judged under every seed."""
    scores, chosen = [], []
    variants = found.x[name]
    own = name == RANDOM or (len(variants) > 1 and len(variants) == settings.seeds)
    for number, x in enumerate(variants):
        for cut in cuts:
            if own and cut.seed != number:
                continue
            repeats = np.array_equal(cut.train, cuts[0].train) and np.array_equal(cut.test, cuts[0].test)
            if not own and not probe.draws and repeats and cut.seed > 0:
                continue  # nothing is drawn: another seed would repeat the same number
            score, setting = _score(x, labels, found.groups, probe, cut)
            scores.append(score)
            chosen.append(setting)
    return Row(name, scores, chosen)


def _score(x: Tensor, labels: Labels, groups: Sequence[str], probe: Probe, cut: Trial) -> tuple[dict[str, float], dict[str, Any]]:
    """Metrics of one trial. The probe sees the training rows with their labels and the test rows without."""
    known = Known(x[cut.train], replace(labels, y=labels.y[cut.train]), [groups[i] for i in cut.train])
    scores, setting = probe.predict(known, x[cut.test], cut.seed)
    return measure(labels.task, scores, labels.y[cut.test]), setting
