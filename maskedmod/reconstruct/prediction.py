"""Predictions at hidden places, as numbers beside the truth; ``dense`` and ``packed`` put the same back among the tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskedmod.core.context import Context
from maskedmod.core.model import MaskedModel, Objective
from maskedmod.core.step import Step
from maskedmod.core.tokens import Tokens
from maskedmod.reconstruct.dense import difference, masked_step, scatter, target_sets, target_weight, weighted_mean


@dataclass
class Prediction:
    """What a model says about the hidden places of B samples; of several masks per sample the first.

    ``tokens``: the samples. ``masked`` bool ``[B, N]``: places that were predicted. ``values`` ``[B, N, Q]``: the prediction in
    units of the target (logits where the target is ``discrete``), NaN elsewhere. ``target``: the truth, ``[B, N, Q]`` with NaN
    elsewhere, or int64 ids ``[B, N]`` with -1 elsewhere. ``error`` ``[B]``: mean squared error, or cross entropy, over them; NaN
    for a sample without any. Of packed samples ``[B, N]`` is ``[L]``: all of them one after another, with their ends, to be cut
    at ``tokens.layout.cu_seqlens``; the error of values is then the objective's own loss.
    """

    tokens: Tokens
    masked: Tensor
    values: Tensor
    target: Tensor
    error: Tensor
    discrete: bool = False


def predict(model: MaskedModel, batch: dict[str, Any], ctx: Context) -> Prediction:
    """Mask one collated batch (on the model's device) as ``reconstruct`` does, and give prediction and truth as they are."""
    with masked_step(model, batch, ctx) as (name, objective, step, at):
        view = step.views[at]
        if view.mask.packed:
            return _packed(objective, step, at)
        where = view.mask.where(objective.region)
        assert where.index is not None
        weight, n, every = target_weight(view, where), view.mask.role.shape[-1], view.mask.per_sample
        goal, guess = objective.target(step, at, where), objective.head(view, where).float()
        discrete = objective.target.discrete
        masked = target_sets(where.index, weight, n).any(1)
        values = scatter(guess, where.index, weight, n).masked_fill(~masked[..., None], float("nan"))
        if discrete:
            wrong = objective.loss.per_token(guess, goal)
            ids = scatter(goal[..., None].double(), where.index, weight, n)[..., 0].round().long()
            target = ids.masked_fill(~masked, -1)
        else:
            wrong = difference(objective, guess, goal)
            target = scatter(goal.float(), where.index, weight, n).masked_fill(~masked[..., None], float("nan"))
        error = weighted_mean(wrong, weight)
        masked, values, target, error = (part[::every].cpu() for part in (masked, values, target, error))
        return Prediction(view.tokens, masked, values, target, error, discrete)


def _packed(objective: Objective, step: Step, at: str) -> Prediction:
    """The same over packed tokens; their rows are tiled, so those of the first mask come first."""
    view = step.views[at]
    where = objective.target.places(step, at, view.mask.where(objective.region))
    assert where.index is not None
    n, discrete = len(view.tokens.pos), objective.target.discrete
    goal, guess = objective.target(step, at, where), objective.head(view, where).float()
    first = where.index < n
    index, wrong = where.index[first], objective.loss.per_token(guess, goal)[first]
    goal, guess = goal[first], guess[first]
    masked = torch.zeros(n, dtype=torch.bool, device=index.device).index_fill(0, index, True)
    values = guess.new_full((n, guess.shape[-1]), torch.nan).index_copy(0, index, guess)
    empty = goal.new_full((n,), -1) if discrete else goal.new_full((n, goal.shape[-1]), torch.nan)
    owner, zeros = view.tokens.layout.segments()[index], wrong.new_zeros(view.tokens.batch)
    error = zeros.index_add(0, owner, wrong) / zeros.index_add(0, owner, torch.ones_like(wrong))
    target = empty.index_copy(0, index, goal)
    return Prediction(view.tokens, masked.cpu(), values.cpu(), target.cpu(), error.cpu(), discrete)
