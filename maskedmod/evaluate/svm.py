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
MACHINES = ("linear_svc", "svc", "svc_rbf")


class Svm(Probe):
    """scikit-learn's ``LinearSVC`` on standardised features; ``C`` is the best of ``grid`` by the mean accuracy over ``inner``
    folds of the training part (InfoGraph, Sun et al. 2020, which judges by ten outer folds).

    ``machine``: linear_svc (one against the rest), or scikit-learn's ``SVC`` (one against one) with a linear kernel, svc, or its
    Gaussian one, svc_rbf. ``standardise``: every feature to mean 0 and deviation 1. GraphMAE (Hou et al. 2022, released code):
    ``machine=svc_rbf standardise=no grid=[0.001,0.01,0.1,1,10] folds=10``. Point-M2AE (Zhang et al. 2022, section 4.2):
    ``machine=svc standardise=no grid=[0.012]`` on ``pool=mean_max``."""

    tasks = ("classes",)

    def __init__(
        self, grid: Sequence[float] = GRID, inner: int = 5, machine: str = "linear_svc", standardise: bool = True
    ) -> None:
        if machine not in MACHINES:
            raise UserError(f"machine={machine}: accepted are {', '.join(MACHINES)}")
        if not grid or min(grid) <= 0 or inner < 2:
            raise UserError(f"grid={list(grid)}, inner={inner}: expected positive values of C and at least 2 folds")
        self.grid, self.inner, self.machine, self.standardise = list(grid), inner, machine, standardise

    def predict(self, known: Known, test: Tensor, seed: int) -> tuple[Tensor, dict[str, Any]]:
        y, c = known.labels.y, self.grid[0]
        if len(self.grid) > 1:
            parts = folds(y, known.groups, self.inner, seed)
            c = max(self.grid, key=lambda value: self._inside(known, parts, value, seed))
        scores, done = self._scores(known.x, y, test, len(known.labels.names), c, seed)
        return scores, {"C": c, "converged": done}

    def _inside(self, known: Known, parts: Sequence[np.ndarray], c: float, seed: int) -> float:
        y, found = known.labels.y, []
        for held in parts:
            rows = np.setdiff1d(np.arange(len(y)), held)
            guess, _ = self._scores(known.x[rows], y[rows], known.x[held], len(known.labels.names), c, seed)
            found.append(top(guess, y[held], 1))
        return sum(found) / len(found)

    def _scores(self, x: Tensor, y: Tensor, test: Tensor, classes: int, c: float, seed: int) -> tuple[Tensor, bool]:
        """Decision values ``[n, classes]``, minus infinity for a class that is not among ``y``; whether the solver converged."""
        scale, seen = Scaler(x) if self.standardise else _as_they_are, y.unique()
        if len(seen) < 2:
            raise UserError(f"the training part has {len(seen)} class; a support vector machine needs two")
        machine = self._machine(c, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged is in the result
            machine.fit(scale(x).numpy(), y.numpy())
        values = torch.from_numpy(np.asarray(machine.decision_function(scale(test).numpy()))).float()
        if values.ndim == 1:
            values = torch.stack([-values, values], dim=1)
        elif self.machine == "svc":  # its answer is the first class of most votes; values break ties another way
            answer = torch.searchsorted(seen, torch.from_numpy(machine.predict(scale(test).numpy())))
            values = values.scatter(1, answer[:, None], values.amax(1, keepdim=True) + 1)
        out = torch.full((len(test), classes), -torch.inf)
        out[:, seen] = values
        return out, self.machine != "linear_svc" or bool(machine.n_iter_ < ITERATIONS)

    def _machine(self, c: float, seed: int) -> Any:
        svm = require("sklearn.svm", "evaluate")
        if self.machine != "linear_svc":
            return svm.SVC(C=c, kernel="linear" if self.machine == "svc" else "rbf", decision_function_shape="ovr")
        return svm.LinearSVC(C=c, dual="auto", random_state=seed, max_iter=ITERATIONS)


def _as_they_are(x: Tensor) -> Tensor:
    return x
