"""Reconstructions of dense values: what the model saw, what it was to predict, what it predicted, and how far off it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from maskedmod.core.context import Context, step_seed
from maskedmod.core.mask_set import VISIBLE, Where
from maskedmod.core.model import MaskedModel, Objective
from maskedmod.core.step import Step, View
from maskedmod.reconstruct.packed import predict_packed
from maskedmod.reconstruct.reconstruction import Reconstruction


def reconstruct(
    model: MaskedModel, batch: dict[str, Any], ctx: Context, baseline: Mapping[str, Tensor] | None = None
) -> Reconstruction:
    """Mask one collated batch (on the model's device), predict, and put the predictions back among the tokens.

    The objective is ``main``, else the first, on its first view. The mask depends on ``ctx.seed`` alone, and is that of the
    run's end, so the same samples at another moment of training have the same mask. ``baseline``: per-position training mean
    of every objective's target, ``[N, P]``; without it the mean-fill is the mean of a sample's visible targets. The model's
    mode and the global random state are as before afterwards. Packed values: see ``packed``. Raises ValueError
    for pooled predictions, which have no picture.
    """
    with masked_step(model, batch, ctx) as (name, objective, step, at):
        means = None if baseline is None else baseline.get(name)
        if step.views[at].mask.packed:
            return predict_packed(objective, name, step, at, means)
        return _predict(objective, name, step, at, means)


@contextmanager
def masked_step(model: MaskedModel, batch: dict[str, Any], ctx: Context) -> Iterator[tuple[str, Objective, Step, str]]:
    """The objective that is shown, with its name, the masked step, and the name of the view; without gradients. ValueError for
    pooled predictions."""
    name = "main" if "main" in model.objectives else next(iter(model.objectives))
    objective = model.objectives[name]
    assert isinstance(objective, Objective)
    if objective.region == "pooled":
        raise ValueError(f"objective {name} predicts no tokens (region=pooled), and nothing else can be drawn")
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(step_seed(ctx.seed, 0))
            generator = torch.Generator(device).manual_seed(step_seed(ctx.seed, 0))
            moment = replace(ctx, training=False, generator=generator, step=ctx.max_steps, rank=0)
            step = model.step(batch, moment)
            at = objective.views[0] if objective.views else next(iter(step.views))
            yield name, objective, step, at
    finally:
        model.train(was_training)


def _predict(objective: Objective, name: str, step: Step, at: str, baseline: Tensor | None) -> Reconstruction:
    view = step.views[at]
    where = view.mask.where(objective.region)
    assert where.index is not None
    n = view.mask.role.shape[-1]
    weight = target_weight(view, where)
    goal, prediction = objective.target(step, at, where), objective.head(view, where)
    discrete = objective.target.discrete
    if discrete:
        mean, wrong, mean_wrong = None, objective.loss.per_token(prediction.float(), goal), None
    else:
        mean = _mean_target(objective, step, at, baseline)
        guessed = mean.gather(1, _flat(where.index, mean)).reshape(goal.shape)
        wrong, mean_wrong = difference(objective, prediction.float(), goal), difference(objective, guessed, goal)
    every = view.mask.per_sample
    blocks = target_sets(where.index, weight, n)
    result = Reconstruction(
        modality=step.modality,
        tokens=view.tokens,
        hidden=(view.mask.role != VISIBLE)[::every],
        blocks=blocks[::every],
        token_error=scatter(wrong[..., None], where.index, weight, n)[..., 0][::every].masked_fill(
            ~blocks[::every].any(1), float("nan")
        ),
        error=weighted_mean(wrong, weight)[::every],
        mean_error=None if mean_wrong is None else weighted_mean(mean_wrong, weight)[::every],
        objective=name,
        discrete=discrete,
        unordered=objective.target.unordered,
        note=objective.target.note,
    )
    if not discrete:
        assert mean is not None
        _restore(result, objective, view, mean, scatter(prediction.float(), where.index, weight, n), blocks)
    return result


def _restore(result: Reconstruction, objective: Objective, view: View, mean: Tensor, guess: Tensor, blocks: Tensor) -> None:
    """Put ``predicted`` and ``filled`` token values into the result when the target can be drawn."""
    original, every = view.rows.values, view.mask.per_sample
    predicted = objective.target.restore(guess, view)
    filled = objective.target.restore(mean.to(guess.dtype), view)
    if predicted is None or filled is None:
        return
    if objective.target.unordered:
        size = max(x.shape[2] for x in (original, predicted, filled))
        original, predicted, filled = (_members(x, size) for x in (original, predicted, filled))
    place = blocks.any(1).reshape(*blocks.shape[::2], *[1] * (original.ndim - 2))
    result.predicted = torch.where(place, predicted.to(original.dtype), original)[::every]
    result.filled = torch.where(place, filled.to(original.dtype), original)[::every]


def _members(x: Tensor, size: int) -> Tensor:
    """Sets ``[M, N, S, ...]`` with ``size`` members each: of smaller ones some are there more than once."""
    return x[:, :, torch.arange(size, device=x.device) % x.shape[2]]


def difference(objective: Objective, prediction: Tensor, goal: Tensor) -> Tensor:
    """Error of every prediction, ``[..., P]`` -> ``[...]``: the mean square, or the loss itself for sets without order."""
    if objective.target.unordered:
        return objective.loss.per_token(prediction, goal)
    return (prediction - goal).pow(2).mean(-1)


def target_weight(view: View, where: Where) -> Tensor:
    """Loss weight of every target ``[M, J, T]``, 0 at padding of the list and at padding of the sample."""
    assert where.index is not None
    weight = torch.ones_like(where.index, dtype=torch.float32) if where.weight is None else where.weight.float()
    valid = view.rows.layout.valid
    if valid is not None:
        weight = weight * valid.gather(1, where.index.flatten(1)).reshape(where.index.shape)
    return weight


def _mean_target(objective: Objective, step: Step, at: str, baseline: Tensor | None) -> Tensor:
    """What predicting the mean would give, ``[M, N, P]``."""
    view = step.views[at]
    m, n = view.mask.role.shape
    if baseline is not None:
        table = baseline.to(view.mask.role.device).float()
        if len(table) < n:  # positions that training never had get the overall mean
            table = torch.cat([table, table.mean(0, keepdim=True).expand(n - len(table), -1)])
        return table[:n].expand(m, n, -1)
    index = torch.arange(n, device=view.mask.role.device).expand(m, 1, n)
    every = objective.target(step, at, Where(index))[:, 0].float()
    seen = ~view.mask.hidden
    if view.rows.layout.valid is not None:
        seen = seen & view.rows.layout.valid
    share = seen.float() / seen.sum(1, keepdim=True).clamp(min=1)
    return torch.einsum("mn,mnp->mp", share, every)[:, None].expand(m, n, -1)


def _flat(index: Tensor, like: Tensor) -> Tensor:
    flat = index.flatten(1)
    return flat[..., None].expand(*flat.shape, like.shape[-1])


def scatter(values: Tensor, index: Tensor, weight: Tensor, n: int) -> Tensor:
    """``[M, J, T, P]`` -> ``[M, N, P]``: the mean of what was predicted at each position, 0 where nothing was."""
    used = (weight > 0).to(values.dtype).flatten(1)[..., None]
    out = values.new_zeros(values.shape[0], n, values.shape[-1])
    count = values.new_zeros(values.shape[0], n, 1)
    out.scatter_add_(1, _flat(index, values), values.flatten(1, 2) * used)
    count.scatter_add_(1, index.flatten(1)[..., None], used)
    return out / count.clamp(min=1)


def target_sets(index: Tensor, weight: Tensor, n: int) -> Tensor:
    out = torch.zeros(*index.shape[:2], n, device=index.device)
    return out.scatter_add_(2, index, (weight > 0).float()) > 0


def weighted_mean(wrong: Tensor, weight: Tensor) -> Tensor:
    """Mean per row over places that count; NaN for a row with none."""
    used = (weight > 0).to(wrong.dtype)
    return (wrong * used).flatten(1).sum(1) / used.flatten(1).sum(1)
