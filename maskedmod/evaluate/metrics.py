"""Metrics. Shares are fractions from 0 to 1. Missing labels (NaN) are left out of the count, column by column."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from maskedmod.evaluate.labels import Task

LOWER_IS_BETTER = ("rmse",)


def measure(task: Task, scores: Tensor, truth: Tensor) -> dict[str, float]:
    """All metrics of a task; the first one decides between rows of a table.

    ``classes``: scores ``[n, C]``, truth int64 ``[n]`` -> top1, macro_f1, roc_auc with two
    classes (the second one is positive) and top5 beyond five. ``tags`` (several labels
    a sample): scores ``[n, K]``, truth 0, 1 or NaN ``[n, K]`` -> map, roc_auc. ``numbers``: predictions and truth ``[n, K]`` ->
    rmse, spearman, each the mean over the K columns.
    """
    if task == "classes":
        found = {"top1": top(scores, truth, 1), "macro_f1": macro_f1(scores.argmax(1), truth)}
        if scores.shape[1] == 2:
            found["roc_auc"] = roc_auc((scores[:, 1] - scores[:, 0]).double(), truth)
        return found | ({"top5": top(scores, truth, 5)} if scores.shape[1] > 5 else {})
    if task == "tags":
        return {"map": by_column(average_precision, scores, truth), "roc_auc": by_column(roc_auc, scores, truth)}
    return {"rmse": by_column(rmse, scores, truth), "spearman": by_column(spearman, scores, truth)}


def by_column(metric: Callable[[Tensor, Tensor], float], scores: Tensor, truth: Tensor) -> float:
    """Mean of a metric over the columns where it is defined; rows whose label is NaN are left out. NaN when it is nowhere."""
    values = []
    for score, goal in zip(scores.T, truth.T, strict=True):
        known = ~goal.isnan()
        values.append(metric(score[known].double(), goal[known].double()))
    defined = [value for value in values if value == value]
    return sum(defined) / len(defined) if defined else float("nan")


def top(scores: Tensor, truth: Tensor, k: int) -> float:
    """Share of samples whose class is among the ``k`` highest scores."""
    picked = scores.topk(min(k, scores.shape[1]), dim=1).indices
    return float((picked == truth[:, None]).any(1).double().mean())


def macro_f1(predicted: Tensor, truth: Tensor) -> float:
    """Unweighted mean of F1 over the classes that occur in the truth or in the predictions."""
    values = []
    for c in torch.cat([predicted, truth]).unique():
        right = int(((predicted == c) & (truth == c)).sum())
        values.append(2 * right / (int((predicted == c).sum()) + int((truth == c).sum())))
    return sum(values) / len(values)


def average_precision(scores: Tensor, truth: Tensor) -> float:
    """Area under the precision-recall steps, ties taken together; NaN without a positive."""
    positives = int(truth.sum())
    if positives == 0:
        return float("nan")
    order = scores.argsort(descending=True)
    hits = truth[order].cumsum(0)
    ends = _ends(scores[order])
    precision = hits[ends] / (ends + 1)
    gained = torch.diff(hits[ends], prepend=hits.new_zeros(1)) / positives
    return float((precision * gained).sum())


def roc_auc(scores: Tensor, truth: Tensor) -> float:
    """Chance that a positive is scored above a negative, ties counting one half; NaN without one of either."""
    positive = truth == 1
    p, n = int(positive.sum()), int((~positive).sum())
    if p == 0 or n == 0:
        return float("nan")
    return (float(ranks(scores)[positive].sum()) - p * (p + 1) / 2) / (p * n)


def rmse(predicted: Tensor, truth: Tensor) -> float:
    """Root of the mean squared error; NaN without a sample."""
    return float((predicted - truth).square().mean().sqrt())


def spearman(predicted: Tensor, truth: Tensor) -> float:
    """Correlation of ranks, ties at their mean rank; NaN when one side is constant or there are fewer than two samples."""
    if len(truth) < 2:
        return float("nan")
    a, b = (ranks(x) - (len(x) + 1) / 2 for x in (predicted, truth))
    scale = float((a.square().sum() * b.square().sum()).sqrt())
    return float((a * b).sum()) / scale if scale > 0 else float("nan")


def ranks(x: Tensor) -> Tensor:
    """Ranks from 1, equal values at the mean of theirs, float64 ``[n]``."""
    _, group, counts = x.unique(sorted=True, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts.double() - 1) / 2)[group]


def _ends(ordered: Tensor) -> Tensor:
    """Last place of every run of equal values."""
    return torch.cat([(ordered[1:] != ordered[:-1]).nonzero()[:, 0], torch.tensor([len(ordered) - 1], device=ordered.device)])
