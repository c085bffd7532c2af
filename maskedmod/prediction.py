"""Predictions at hidden places, as numbers beside the truth; ``reconstruction`` makes pictures of the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from maskedmod.context import Context
from maskedmod.model import MaskedModel
from maskedmod.reconstruction import difference, masked_step, scatter, target_sets, target_weight, weighted_mean
from maskedmod.tokens import Tokens


@dataclass
class Prediction:
    """What a model says about the hidden places of B samples; of several masks per sample the first.

    ``tokens``: the samples. ``masked`` bool ``[B, N]``: places that were predicted. ``values`` ``[B, N, Q]``: the prediction in
    units of the target (logits where the target is ``discrete``), NaN elsewhere. ``target``: the truth, ``[B, N, Q]`` with NaN
    elsewhere, or int64 ids ``[B, N]`` with -1 elsewhere. ``error`` ``[B]``: mean squared error, or cross entropy, over them.
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
