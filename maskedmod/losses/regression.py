"""Distance to a value: MSE, L1, smooth L1, Huber."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from maskedmod.core.blocks.loss import Loss, Reduce
from maskedmod.core.spec import Spec


class Regression(Loss):
    """Mean over a token's values of mse ``(p-y)^2``, l1 ``|p-y|``, smooth_l1 (``beta``) or huber (``beta`` is its delta).

    ``scale`` multiplies the loss (data2vec: 1/sqrt(D)). ``reduce``: token_mean, sample_mean or sum.
    """

    def __init__(
        self,
        spec: Spec,
        kind: Literal["mse", "l1", "smooth_l1", "huber"] = "mse",
        beta: float = 1.0,
        scale: float = 1.0,
        reduce: Reduce = "token_mean",
    ) -> None:
        super().__init__()
        self.kind, self.beta, self.scale, self.reduce = kind, beta, scale, reduce

    def per_token(self, prediction: Tensor, goal: Tensor) -> Tensor:
        if prediction.ndim > goal.ndim:  # several predictions of the same (GraphMAE2's re-masks)
            goal = goal.expand_as(prediction)
        if self.kind == "mse":
            each = F.mse_loss(prediction, goal, reduction="none")
        elif self.kind == "l1":
            each = F.l1_loss(prediction, goal, reduction="none")
        elif self.kind == "smooth_l1":
            each = F.smooth_l1_loss(prediction, goal, reduction="none", beta=self.beta)
        else:
            each = F.huber_loss(prediction, goal, reduction="none", delta=self.beta)
        return each.mean(-1) * self.scale
