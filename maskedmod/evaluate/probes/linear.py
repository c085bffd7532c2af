"""Linear probe: logistic regression on frozen features, solved to its optimum or by so many steps of Adam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from maskedmod.errors import UserError
from maskedmod.evaluate.metrics import measure
from maskedmod.evaluate.probes.linear_adam import fit_adam
from maskedmod.evaluate.probes.probe import Known, Probe, Scaler
from maskedmod.evaluate.splits import hold_out

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


class Linear(Probe):
    """Minimises ``C * sum of losses + |W|^2 / 2`` with L-BFGS, the bias not penalised: what scikit-learn's
    ``LogisticRegression(C=C)`` minimises. Softmax cross entropy for classes, one sigmoid a column for tags (missing ones left
    out). Features are standardised on the training rows. ``C`` is the best of ``grid`` on a fifth of the training part, drawn
    by the seed; then the probe is fitted again on all of it. One value in ``grid`` means no choice.

    ``solver=adam``: the layer of graph papers instead, see ``linear_adam``: ``steps`` full-batch steps with ``lr`` and
    ``weight_decay`` on features as they are; nothing is chosen (GraphMAE on Cora: lr=0.01 weight_decay=1e-4)."""

    tasks = ("classes", "tags")

    def __init__(
        self,
        grid: Sequence[float] = GRID,
        iterations: int = 200,
        solver: str = "lbfgs",
        lr: float = 0.01,
        weight_decay: float = 1e-4,
        steps: int = 300,
    ) -> None:
        if not grid or min(grid) <= 0:
            raise UserError(f"grid={list(grid)}: expected positive values of C")
        if solver not in ("lbfgs", "adam"):
            raise UserError(f"solver={solver}: accepted are lbfgs, adam")
        if lr <= 0 or weight_decay < 0 or steps < 1:
            raise UserError(f"lr={lr}, weight_decay={weight_decay}, steps={steps}: expected positive numbers, no decay or more")
        self.grid, self.iterations = sorted(grid), iterations
        self.solver, self.lr, self.weight_decay, self.steps = solver, lr, weight_decay, steps

    def predict(self, known: Known, test: Tensor, seed: int) -> tuple[Tensor, dict[str, Any]]:
        if self.solver == "adam":
            weight, bias = fit_adam(known.x, *_goal(known), self.lr, self.weight_decay, self.steps, seed)
            return test @ weight + bias, {"lr": self.lr, "weight_decay": self.weight_decay, "steps": self.steps}
        best = self.grid[0] if len(self.grid) == 1 else self._choose(known, seed)
        scale = Scaler(known.x)
        weight, bias = fit(scale(known.x), *_goal(known), best, self.iterations)
        return scale(test) @ weight + bias, {"C": best}

    def _choose(self, known: Known, seed: int) -> float:
        rows, held = hold_out(known.labels.y, known.groups, seed)
        labels = known.labels
        part = replace(known, x=known.x[rows], labels=replace(labels, y=labels.y[rows]))
        scale = Scaler(part.x)
        x, start, scores = scale(part.x), None, []
        goal, columns = _goal(part)
        for c in self.grid:  # from strong to weak: each solution is near the one before
            start = fit(x, goal, columns, c, self.iterations, start)
            guess = scale(known.x[held]) @ start[0] + start[1]
            scores.append(next(iter(measure(labels.task, guess, labels.y[held]).values())))
        return self.grid[max(range(len(scores)), key=lambda i: scores[i] if scores[i] == scores[i] else -1.0)]


def fit(
    x: Tensor, goal: Tensor, columns: int, c: float, iterations: int, start: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Weights ``[D, columns]`` and bias ``[columns]`` for ``goal`` int64 ``[n]`` (softmax) or float ``[n, columns]`` (sigmoids,
    NaN = missing)."""
    weight, bias = start or (x.new_zeros(x.shape[1], columns), x.new_zeros(columns))
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=iterations, tolerance_grad=1e-6, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )
    known = None if goal.ndim == 1 else ~goal.isnan()
    filled = goal if known is None else goal.nan_to_num(0.0)

    def closure() -> Tensor:
        solver.zero_grad()
        logits = x @ weight + bias
        if known is None:
            loss = F.cross_entropy(logits, filled)
        else:
            loss = (F.binary_cross_entropy_with_logits(logits, filled, reduction="none") * known).sum() / len(x)
        loss = loss + weight.square().sum() / (2 * c * len(x))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        solver.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def _goal(known: Known) -> tuple[Tensor, int]:
    y = known.labels.y
    return (y, len(known.labels.names)) if known.labels.task == "classes" else (y, y.shape[1])
