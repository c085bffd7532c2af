"""Which samples are trained on and which are judged, and what is said of it; the same for probes and for trained networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskedmod.errors import UserError
from maskedmod.evaluate.labels import Labels
from maskedmod.evaluate.named_splits import facts as named
from maskedmod.evaluate.settings import Settings
from maskedmod.evaluate.splits import Trial, digest, folds_of_papers
from maskedmod.evaluate.table import Table


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
