"""Which samples are learned from and which are judged on: named, hashed, and never mixed."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.support.compat import require


@dataclass(frozen=True)
class Trial:
    """Rows to learn from, rows to judge on, and the seed of whatever is drawn. ``val``: rows of a published split that are on
    neither side."""

    train: np.ndarray
    test: np.ndarray
    seed: int
    val: np.ndarray | None = None


def digest(keys: Sequence[str], among: Sequence[str]) -> str:
    """sha256 of the sorted keys, one a line, without the folder that all keys ``among`` have in common: the same files give the
    same hash wherever they lie."""
    root = _common(among)
    lines = sorted(key[len(root) :].lstrip("/") for key in keys)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def disjoint(train: Sequence[str], test: Sequence[str]) -> None:
    """UserError when a sample is in both parts."""
    both = set(train) & set(test)
    if both:
        raise UserError(f"{len(both)} samples are in the training and in the test part; one of them is {min(both)}")


def hold_out(y: Tensor, groups: Sequence[str], seed: int, share: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit and rows to choose settings on, both from the training part, by class and seed. ``groups``: samples of one
    group (windows of one recording) stay together."""
    parts = folds(y, groups, max(2, round(1 / share)), seed)
    held = parts[0]
    return np.setdiff1d(np.arange(len(groups)), held), held


def folds(y: Tensor, groups: Sequence[str], count: int, seed: int) -> list[np.ndarray]:
    """Rows of every fold, sorted. Groups are shuffled by the seed and dealt out class by class, so that folds have alike
    shares of every class; labels that are no classes are dealt out as one. UserError with fewer groups than folds."""
    names, first, member = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    if len(names) < count:
        raise UserError(f"{len(names)} independent samples cannot make {count} folds")
    kinds = y.numpy()[first] if y.ndim == 1 else np.zeros(len(names))
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(kinds[order], kind="stable")]
    fold = np.empty(len(names), dtype=np.int64)
    fold[order] = np.arange(len(names)) % count
    return [np.flatnonzero(fold[member] == i) for i in range(count)]


def folds_of_papers(y: Tensor, groups: Sequence[str], count: int, seed: int) -> list[np.ndarray]:
    """Rows of every fold, sorted, by scikit-learn's ``StratifiedKFold(shuffle=True, random_state=seed)``, so that results stand
    beside those of papers that use it (mostly with seed 0); by ``folds`` where that does not apply: for groups of several
    samples, labels that are no classes, and classes that all have fewer samples than folds."""
    classes = y.ndim == 1 and not y.is_floating_point()
    if not classes or len(set(groups)) < len(groups) or int(y.unique(return_counts=True)[1].max()) < count:
        return folds(y, groups, count, seed)
    made = require("sklearn.model_selection", "evaluate").StratifiedKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class of fewer samples than folds is missing in some of them
        return [test for _, test in made.split(y.numpy(), y.numpy())]


def _common(keys: Sequence[str]) -> str:
    try:
        return os.path.commonpath({os.path.dirname(key) for key in keys})
    except ValueError:  # some absolute, some relative, or no key at all
        return ""
