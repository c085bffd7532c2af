"""Ridge regression on frozen, standardised features, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.evaluate.metrics import by_column, rmse
from maskedmod.evaluate.probes.probe import Known, Probe, Scaler
from maskedmod.evaluate.splits import hold_out

GRID = tuple(10.0**e for e in range(-4, 7))


class Ridge(Probe):
    """Minimises ``|y - X W - b|^2 + alpha |W|^2`` (what scikit-learn's ``Ridge`` minimises), column by column, rows with a
    missing label left out. ``alpha`` is the best of ``grid`` by the error on a fifth of the training part, drawn by the seed."""

    tasks = ("numbers",)

    def __init__(self, grid: Sequence[float] = GRID) -> None:
        if not grid or min(grid) <= 0:
            raise UserError(f"grid={list(grid)}: expected positive values of alpha")
        self.grid = list(grid)

    def predict(self, known: Known, test: Tensor, seed: int) -> tuple[Tensor, dict[str, Any]]:
        y, alpha = known.labels.y, self.grid[0]
        if len(self.grid) > 1:
            rows, held = hold_out(y, known.groups, seed)
            guesses = solve(known.x[rows], y[rows], known.x[held], self.grid)
            wrong = [by_column(rmse, guess, y[held]) for guess in guesses]
            alpha = self.grid[min(range(len(wrong)), key=lambda i: wrong[i] if wrong[i] == wrong[i] else float("inf"))]
        return solve(known.x, y, test, [alpha])[0], {"alpha": alpha}


def solve(x: Tensor, y: Tensor, test: Tensor, alphas: Sequence[float]) -> list[Tensor]:
    """Predictions ``[n, K]`` for ``test`` under every alpha; one decomposition serves all alphas."""
    out = [torch.full((len(test), y.shape[1]), float("nan")) for _ in alphas]
    for column in range(y.shape[1]):
        known = ~y[:, column].isnan()
        if not bool(known.any()):
            continue
        scale = Scaler(x[known])
        goal = y[known, column].double()
        a, middle = scale(x[known]).double(), goal.mean()
        values, vectors = torch.linalg.eigh(a.T @ a)
        turned, query = vectors.T @ (a.T @ (goal - middle)), scale(test).double() @ vectors
        for guess, alpha in zip(out, alphas, strict=True):
            guess[:, column] = (query @ (turned / (values.clamp(min=0) + alpha)) + middle).float()
    return out
