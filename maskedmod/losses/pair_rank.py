"""Scores of true pairs above those of others."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from maskedmod.core.blocks.loss import Loss
from maskedmod.core.spec import Spec


class PairRank(Loss):
    """Of true ones p and others n, the first with the first and so on: ``auc`` sum of ``(1 - (p - n))^2``, ``hinge_auc`` the same
    where ``p - n < 1``, ``log_rank`` mean of ``-log sigmoid(p - n)`` (losses of MaskGAE's released code, maskgae/loss.py). Goals
    are 1 and 0, one value each; where there are fewer of one kind, those left over of the other count for nothing."""

    def __init__(self, spec: Spec, kind: Literal["auc", "hinge_auc", "log_rank"] = "auc") -> None:
        super().__init__()
        self.kind = kind

    def of_mean(self, mean: Tensor) -> Tensor:
        """One score for all."""
        return torch.zeros_like(mean, dtype=torch.float32)

    def per_token(self, prediction: Tensor, goal: Tensor) -> Tensor:
        """Of differences ``p - n``; goal is not read."""
        apart = prediction[..., 0]
        if self.kind == "log_rank":
            return -F.logsigmoid(apart)
        short = 1 - apart
        return (short.clamp(min=0) if self.kind == "hinge_auc" else short).square()

    def forward(self, prediction: Tensor, goal: Tensor, weight: Tensor | None = None) -> Tensor:
        """One number. ValueError for goals of several values and for weights."""
        if goal.shape[-1] != 1 or weight is not None:
            raise ValueError("loss=pair_rank is for goals of one value, all of the same weight, as target=edges gives them")
        scores, true = prediction.float().flatten(), goal.flatten() > 0.5
        count = min(int(true.sum()), int((~true).sum()))
        each = self.per_token((scores[true][:count] - scores[~true][:count])[:, None], goal)
        return each.mean() if self.kind == "log_rank" and count else each.sum()
