"""Vital signs of a masked model, measured on one batch, and of its pooled features: the numbers behind the health checks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def vital_signs(prediction: Tensor, goal: Tensor | None, features: Tensor) -> dict[str, float]:
    """Numbers without unit; 0 is ill, about 1 is well.

    ``prediction_spread``: standard deviation of predictions over the predicted positions of a row, relative to their rms
    (0: all masked positions get one answer, the position information is lost).
    ``target_spread``: deviation of float targets over all positions and samples, relative to their rms (0: collapsed teacher).
    ``feature_spread``: the same of the encoder's tokens. ``feature_rank``: effective rank of these tokens (exp of the entropy
    of the normalised singular values; Roy and Vetterli 2007), at most the width.
    """
    signs = {"prediction_spread": _spread_within(prediction)}
    if goal is not None:
        signs["target_spread"] = _spread_over_all(goal)
    flat = features.reshape(-1, features.shape[-1]).float()
    signs["feature_spread"] = _spread_over_all(flat)
    signs["feature_rank"] = _effective_rank(flat)
    return signs


def _spread_within(x: Tensor) -> float:
    """Deviation over positions of one row: dense ``[M, J, T, P]``; packed ``[T, P]`` and pooled ``[M, P]`` over all."""
    x = x.float()
    if x.shape[-2] < 2:
        return 1.0
    rms = x.pow(2).mean().sqrt().clamp(min=1e-12)
    return float(x.std(dim=-2).pow(2).mean().sqrt() / rms)


def _spread_over_all(x: Tensor) -> float:
    flat = x.reshape(-1, x.shape[-1]).float()
    if len(flat) < 2:
        return 1.0
    return float(flat.std(dim=0).pow(2).mean().sqrt() / flat.pow(2).mean().sqrt().clamp(min=1e-12))


def _effective_rank(flat: Tensor, most: int = 1024) -> float:
    rows = flat[:: max(1, len(flat) // most)][:most]
    return _entropy_rank(rows - rows.mean(0))


def _entropy_rank(rows: Tensor) -> float:
    singular = torch.linalg.svdvals(rows)
    share = singular / singular.sum().clamp(min=1e-12)
    return float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()))


def feature_health(x: Tensor) -> dict[str, float]:
    """How well pooled features ``[n, D]`` of n samples use their room.

    ``feature_rank``: effective rank of the features less their mean, from 1 to min(n - 1, D). ``rankme``: the same of the
    features as they are (RankMe, Garrido et al. 2023, section 3), which a large common mean pulls down. ``feature_std``: mean
    deviation of the coordinates of unit-length features, times sqrt(D): 1 when they fill the sphere, 0 when all are one (Chen and
    He 2021, figure 2). ``feature_variance``: mean variance of the features as they are. ``uniformity``: see there.
    ``pair_distance``: mean squared distance of the unit-length features of two different samples, which ``alignment`` is to be
    seen beside. ``width``: D, ``samples``: n; n must be at least 2.
    """
    x = x.float()
    unit = functional.normalize(x, dim=1)
    return {
        "feature_rank": _effective_rank(x),
        "rankme": _entropy_rank(x),
        "feature_std": float(unit.std(dim=0).mean() * x.shape[1] ** 0.5),
        "feature_variance": float(x.var(dim=0).mean()),
        "uniformity": uniformity(x),
        "pair_distance": float(torch.pdist(unit).square().mean()),
        "width": x.shape[1],
        "samples": len(x),
    }


def alignment(x: Tensor, y: Tensor) -> float:
    """Mean squared distance of the unit-length features ``[n, D]`` of two sights of the same samples: 0 when they are the same,
    2 when they are unrelated (Wang and Isola 2020, section 4.1, with alpha = 2)."""
    gap = functional.normalize(x.float(), dim=1) - functional.normalize(y.float(), dim=1)
    return float(gap.square().sum(1).mean())


def uniformity(x: Tensor) -> float:
    """log of the mean of exp(-2 d^2) over all pairs of different samples, d the distance of their unit-length features
    ``[n, D]``: 0 when all features are one, near -4 when they are spread evenly (Wang and Isola 2020, section 4.1,
    with t = 2)."""
    distance = torch.pdist(functional.normalize(x.float(), dim=1))
    return float(distance.square().mul(-2).exp().mean().log())
