"""Linear support vector machine on frozen features, as graph and point cloud papers use it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskedmod.compat import require
from maskedmod.errors import UserError
from maskedmod.evaluate.metrics import top
from maskedmod.evaluate.probe import Known, Probe, Scaler
from maskedmod.evaluate.splits import folds

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
ITERATIONS = 1000


class Svm(Probe):
    """scikit-learn's ``LinearSVC`` on standardised features; ``C`` is the best of ``grid`` by the mean accuracy over ``inner``
    folds of the training part (InfoGraph, Sun et al. 2020; GraphMAE, Hou et al. 2022, which judge by ten outer folds)."""

    tasks = ("classes",)

    def __init__(self, grid: Sequence[float] = GRID, inner: int = 5) -> None:
        if not grid or min(grid) <= 0 or inner < 2:
            raise UserError(f"grid={list(grid)}, inner={inner}: expected positive values of C and at least 2 folds")
        self.grid, self.inner = list(grid), inner

    def predict(self, known: Known, test: Tensor, seed: int) -> tuple[Tensor, dict[str, Any]]:
        y, c = known.labels.y, self.grid[0]
        if len(self.grid) > 1:
            parts = folds(y, known.groups, self.inner, seed)
            c = max(self.grid, key=lambda value: self._inside(known, parts, value, seed))
        scores, done = _scores(known.x, y, test, len(known.labels.names), c, seed)
        return scores, {"C": c, "converged": done}

    def _inside(self, known: Known, parts: Sequence[np.ndarray], c: float, seed: int) -> float:
        y, found = known.labels.y, []
        for held in parts:
            rows = np.setdiff1d(np.arange(len(y)), held)
            guess, _ = _scores(known.x[rows], y[rows], known.x[held], len(known.labels.names), c, seed)
            found.append(top(guess, y[held], 1))
        return sum(found) / len(found)


def _scores(x: Tensor, y: Tensor, test: Tensor, classes: int, c: float, seed: int) -> tuple[Tensor, bool]:
    """Decision values ``[n, classes]``, minus infinity for a class that is not among ``y``; and whether the solver converged."""
    svm, scale = require("sklearn.svm", "evaluate"), Scaler(x)
    seen = y.unique()
    if len(seen) < 2:
        raise UserError(f"the training part has {len(seen)} class; a support vector machine needs two")
    machine = svm.LinearSVC(C=c, dual="auto", random_state=seed, max_iter=ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged is in the result
        machine.fit(scale(x).numpy(), y.numpy())
    values = torch.from_numpy(np.asarray(machine.decision_function(scale(test).numpy()))).float()
    if values.ndim == 1:
        values = torch.stack([-values, values], dim=1)
    out = torch.full((len(test), classes), -torch.inf)
    out[:, seen] = values
    return out, bool(machine.n_iter_ < ITERATIONS)
