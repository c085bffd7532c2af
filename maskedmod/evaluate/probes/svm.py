"""Linear support vector machine on frozen features, as graph and point cloud papers use it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.evaluate.metrics import top
from maskedmod.evaluate.probes.probe import Known, Probe, Scaler
from maskedmod.evaluate.splits import folds_of_papers
from maskedmod.support.compat import require

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
ITERATIONS = 1000
KERNEL_ROWS = 10_000
"""Training rows up to which a Gaussian kernel is held whole (0.8 GB)."""

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
            c = self._best(known, folds_of_papers(y, known.groups, self.inner, seed), seed)
        scores, done = self._scores(self._problem(known.x, test), y, len(known.labels.names), c, seed)
        return scores, {"C": c, "converged": done}

    def _best(self, known: Known, parts: Sequence[np.ndarray], seed: int) -> float:
        """The value of the grid with the most accurate answers, in the mean over the inner folds; of equals the first."""
        y, classes = known.labels.y, len(known.labels.names)
        found = dict.fromkeys(self.grid, 0.0)
        for held in parts:
            rows = np.setdiff1d(np.arange(len(y)), held)
            problem = self._problem(known.x[rows], known.x[held])
            for c in self.grid:
                found[c] += top(self._scores(problem, y[rows], classes, c, seed)[0], y[held], 1)
        return max(self.grid, key=lambda c: found[c])

    def _problem(self, x: Tensor, test: Tensor) -> _Problem:
        """What the machine learns from and what it answers; with a Gaussian kernel that is computed once for all values of C."""
        if self.standardise:
            scale = Scaler(x)
            x, test = scale(x), scale(test)
        if self.machine == "svc_rbf" and len(x) <= KERNEL_ROWS:
            return _Problem(*gaussian_kernel(x.double(), test.double()), kernel="precomputed")
        return _Problem(x.numpy(), test.numpy(), kernel="rbf" if self.machine == "svc_rbf" else "linear")

    def _scores(self, problem: _Problem, y: Tensor, classes: int, c: float, seed: int) -> tuple[Tensor, bool]:
        """Decision values ``[n, classes]``, minus infinity for a class that is not among ``y``; whether the solver converged."""
        seen = y.unique()
        if len(seen) < 2:
            raise UserError(f"the training part has {len(seen)} class; a support vector machine needs two")
        machine = self._machine(problem.kernel, c, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged is in the result
            machine.fit(problem.train, y.numpy())
        values = torch.from_numpy(np.asarray(machine.decision_function(problem.test))).float()
        if values.ndim == 1:
            values = torch.stack([-values, values], dim=1)
        elif self.machine != "linear_svc":  # its answer is the first class of most votes; values break ties another way
            answer = torch.searchsorted(seen, torch.from_numpy(machine.predict(problem.test)))
            values = values.scatter(1, answer[:, None], values.amax(1, keepdim=True) + 1)
        out = torch.full((len(problem.test), classes), -torch.inf)
        out[:, seen] = values
        return out, self.machine != "linear_svc" or bool(machine.n_iter_ < ITERATIONS)

    def _machine(self, kernel: str, c: float, seed: int) -> Any:
        svm = require("sklearn.svm", "evaluate")
        if self.machine != "linear_svc":
            return svm.SVC(C=c, kernel=kernel, decision_function_shape="ovr")
        return svm.LinearSVC(C=c, dual="auto", random_state=seed, max_iter=ITERATIONS)


@dataclass(frozen=True)
class _Problem:
    """Rows to learn from and to answer: features ``[n, D]``, or with ``kernel`` precomputed their products ``[n, train]``."""

    train: np.ndarray
    test: np.ndarray
    kernel: str


def gaussian_kernel(x: Tensor, test: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """``exp(-|a - b|^2 / (D * variance of x))``, the width of scikit-learn's ``gamma=scale``, of x ``[n, D]`` and of test
    ``[m, D]`` with x, both float64 -> ``[n, n]``, ``[m, n]``. By products of matrices, 10 times faster than pair by pair."""
    variance = float(x.var(correction=0))
    gamma = 1 / (x.shape[1] * variance) if variance else 1.0
    mean = x.mean(0)  # distances do not change, and lose fewer digits
    x, test = x - mean, test - mean
    size = x.square().sum(1)

    def products(rows: Tensor) -> np.ndarray:
        apart = torch.addmm(size[None, :], rows, x.t(), alpha=-2.0).add_(rows.square().sum(1)[:, None]).clamp_(min=0)
        return apart.mul_(-gamma).exp_().numpy()

    return products(x), products(test)
