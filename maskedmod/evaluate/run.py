"""One evaluation from start to end: features, trials, table."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from maskedmod.errors import UserError, unknown
from maskedmod.evaluate.labels import Labels, encode
from maskedmod.evaluate.metrics import measure
from maskedmod.evaluate.named_splits import facts as named
from maskedmod.evaluate.prepare import RANDOM, ROWS, Settings, table
from maskedmod.evaluate.probes.fewshot import Fewshot
from maskedmod.evaluate.probes.probe import Known, Probe
from maskedmod.evaluate.result import Result, Row
from maskedmod.evaluate.splits import Trial, digest, folds_of_papers
from maskedmod.evaluate.table import Table
from maskedmod.finetune.options import DEFAULTS, options

PROTOCOLS = ("fewshot", "knn", "linear", "ridge", "svm")
"""Probes on frozen features."""
TRAINED_PROTOCOLS = tuple(DEFAULTS)
"""Those that train a network on labels."""


def evaluate(
    checkpoints: Sequence[str | Path],
    protocol: str,
    data: Sequence[str] = (),
    settings: Settings | None = None,
    folder: Path | None = None,
    **arguments: Any,
) -> Result:
    """Judge the encoders of ``checkpoints`` (run folders or published weights of one recipe: several runs give the
    deviation over their seeds), beside the same encoder at random initialisation and the modality's raw features.

    ``protocol``: one of ``PROTOCOLS`` (frozen features) or ``TRAINED_PROTOCOLS`` (networks, in sub-folders of ``folder``;
    default: ``protocol`` in the first checkpoint's run), with its own ``arguments``. ``data``: words such as ``data=folder``,
    ``data.path=DIR`` laid over the run's recipe; none means the run's own data; also ``modality.max_length=N`` and others of
    the modality's ``windowing``. Raises UserError for whatever a user can mend.
    """
    settings = settings or Settings()
    if protocol in TRAINED_PROTOCOLS:
        from maskedmod.finetune.judge import evaluate_trained

        place = folder or home(checkpoints[0] if checkpoints else "") / protocol
        return evaluate_trained(checkpoints, protocol, data, settings, options(protocol, arguments), place)
    probe = build(protocol, arguments)
    found = table(checkpoints, data, settings, "numbers" in probe.tasks)
    return judge(found, protocol, probe, settings, [str(path) for path in checkpoints])


def build(protocol: str, arguments: Mapping[str, Any]) -> Probe:
    """The protocol of this name. UserError names an unknown one, and arguments that it does not take."""
    if protocol not in PROTOCOLS:
        raise unknown("protocol", protocol, PROTOCOLS + TRAINED_PROTOCOLS)
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


def split_of(found: Table, settings: Settings) -> dict[str, Any]:
    """Name, sizes and hashes of the parts."""
    if found.cuts:
        return named(settings.split or "published split", found.name, found.cuts, found.keys)
    train, test = found.keys[: found.train], found.keys[found.train :]
    return {
        "name": found.name, "folds": settings.folds, "train": len(train), "test": len(test),
        "train_sha256": digest(train, found.keys), "test_sha256": digest(test, found.keys) if test else None,
    }  # fmt: skip


def facts(checkpoints: Sequence[str], settings: Settings) -> dict[str, Any]:
    """What was judged, and how it was read."""
    return {
        "checkpoints": list(checkpoints),
        "seeds": list(range(settings.seeds)),
        "pool": settings.pool,
        "level": settings.level,
        "encoder": settings.encoder,
    }


def home(checkpoint: str | Path) -> Path:
    """The run folder of a checkpoint; the working directory for weights that are no run."""
    start = Path(checkpoint)
    return next((folder for folder in (start, *list(start.parents)[:3]) if (folder / "recipe.yaml").is_file()), Path())


def trials(found: Table, labels: Labels, settings: Settings) -> list[Trial]:
    """A named split, or the source's own once per seed; or every fold of every seed's shuffle of all samples."""
    if found.cuts:
        return found.cuts
    every = np.arange(len(found.keys))
    if not settings.folds:
        return [Trial(every[: found.train], every[found.train :], seed) for seed in range(settings.seeds)]
    cuts = []
    for seed in range(settings.seeds):
        for test in folds_of_papers(labels.y, found.groups, settings.folds, seed):
            cuts.append(Trial(np.setdiff1d(every, test), test, seed))
    return cuts


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


def several(labels: Labels, cuts: Sequence[Trial]) -> None:
    """UserError for a training part whose labels are all the same class."""
    if labels.task not in ("classes", "tokens"):
        return
    for cut in cuts:
        known = labels.y[cut.train]
        known = known[known >= 0]
        if not len(known):
            raise UserError("the training part has no label")
        if bool((known == known[0]).all()):
            name = labels.names[int(known[0])]
            raise UserError(f"all {len(known)} labels of the training part are {name!r}: nothing to tell apart")


FEW = 20


def few(cuts: Sequence[Trial]) -> list[str]:
    """A note when fewer than ``FEW`` samples are judged, over all folds of a seed."""
    judged = len(np.unique(np.concatenate([cut.test for cut in cuts if cut.seed == cuts[0].seed])))
    return [f"only {judged} samples are judged: one more or less right is {100 / judged:.1f} points"] if judged < FEW else []


def unseen(labels: Labels, cuts: Sequence[Trial]) -> list[str]:
    """A class that is only in the test part cannot be told: it counts as wrong, and is said."""
    if labels.task != "classes":
        return []
    only: set[int] = set()
    for cut in cuts:
        only |= set(labels.y[cut.test].tolist()) - set(labels.y[cut.train].tolist())
    named = ", ".join(labels.names[i] for i in sorted(only))
    return [f"classes without a training sample, counted as wrong: {named}"] if only else []
