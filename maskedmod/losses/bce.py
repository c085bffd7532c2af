"""Yes or no per token."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from maskedmod.core.blocks.loss import Loss, Reduce
from maskedmod.core.spec import Spec


class Bce(Loss):
    """Binary cross-entropy of logits against 0/1 goals, mean over a token's values; ``positive`` weights the ones.

    ``gamma``: each term is weighted with (1 - p)^gamma, p the chance given to the truth (focal loss, Lin et al. 2017, eq. 4);
    0: none is. ``alpha``: ones are weighted with alpha and zeros with 1 - alpha (their eq. 5), null: all alike.
    """

    def __init__(
        self,
        spec: Spec,
        positive: float = 1.0,
        gamma: float = 0.0,
        alpha: float | None = None,
        reduce: Reduce = "token_mean",
    ) -> None:
        super().__init__()
        if gamma < 0 or (alpha is not None and not 0 < alpha < 1):
            raise ValueError(f"loss=bce: gamma={gamma} must be 0 or more, alpha={alpha} between 0 and 1")
        self.positive, self.gamma, self.alpha, self.reduce = positive, gamma, alpha, reduce

    def of_mean(self, mean: Tensor) -> Tensor:
        """Its logit."""
        return torch.logit(mean.float(), eps=1e-6)

    def per_token(self, prediction: Tensor, goal: Tensor) -> Tensor:
        goal = goal.float()
        weight = prediction.new_tensor(self.positive)
        each = F.binary_cross_entropy_with_logits(prediction, goal, reduction="none", pos_weight=weight)
        if self.gamma:
            chance = torch.sigmoid(prediction)
            each = each * (goal * (1 - chance) + (1 - goal) * chance) ** self.gamma
        if self.alpha is not None:
            each = each * (goal * self.alpha + (1 - goal) * (1 - self.alpha))
        return each.mean(-1)
