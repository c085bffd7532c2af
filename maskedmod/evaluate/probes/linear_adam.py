"""The linear layer of graph papers: a fixed number of full-batch steps of Adam."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def fit_adam(
    x: Tensor, goal: Tensor, columns: int, lr: float, weight_decay: float, steps: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Weights ``[D, columns]`` and bias ``[columns]`` after ``steps`` steps on all of ``x`` at once, whatever they are worth then
    (node classification of GraphMAE, Hou et al. 2022: 300 steps, the last one counts). ``weight_decay`` is Adam's own, added to
    the gradient, also of the bias. ``goal``: int64 ``[n]``, or float ``[n, columns]`` with NaN where a label is missing. First
    values: those of ``torch.nn.Linear``, drawn by the seed."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        layer = nn.Linear(x.shape[1], columns)
        solver = torch.optim.Adam(layer.parameters(), lr=lr, weight_decay=weight_decay)
        known = None if goal.ndim == 1 else ~goal.isnan()
        for _ in range(steps):
            solver.zero_grad()
            logits = layer(x)
            if known is None:
                loss = F.cross_entropy(logits, goal)
            else:
                loss = F.binary_cross_entropy_with_logits(logits[known], goal[known])
            loss.backward()  # type: ignore[no-untyped-call]
            solver.step()
    return layer.weight.detach().T, layer.bias.detach()
