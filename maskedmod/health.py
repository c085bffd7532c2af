"""Vital signs of a masked model, measured on one batch: the numbers behind the health checks."""

from __future__ import annotations

import torch
from torch import Tensor


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
    singular = torch.linalg.svdvals(rows - rows.mean(0))
    share = singular / singular.sum().clamp(min=1e-12)
    return float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()))
