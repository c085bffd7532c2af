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
    0: none is. ``alpha``: ones are weighted with alpha and zeros with 1 - alpha (their eq. 5), null: all alike. ``balanced``: the
    mean over the ones plus the mean over the zeros, however many each are (MGAE, Tan et al. 2023, released code); for goals of
    one value.
    """

    def __init__(
        self,
        spec: Spec,
        positive: float = 1.0,
        gamma: float = 0.0,
        alpha: float | None = None,
        reduce: Reduce = "token_mean",
        balanced: bool = False,
    ) -> None:
        super().__init__()
        if balanced and reduce != "token_mean":
            raise ValueError(f"loss=bce: balanced=true is a sum of two means, so reduce={reduce} does not go with it")
        self.balanced = balanced
        if gamma < 0 or (alpha is not None and not 0 < alpha < 1):
            raise ValueError(f"loss=bce: gamma={gamma} must be 0 or more, alpha={alpha} between 0 and 1")
        self.positive, self.gamma, self.alpha, self.reduce = positive, gamma, alpha, reduce

    def of_mean(self, mean: Tensor) -> Tensor:
        """Its logit; that of one half where ones and zeros count alike."""
        if self.balanced:
            return torch.zeros_like(mean, dtype=torch.float32)
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

    def forward(self, prediction: Tensor, goal: Tensor, weight: Tensor | None = None) -> Tensor:
        """One number. ValueError for goals of several values that are to be balanced."""
        if not self.balanced:
            return super().forward(prediction, goal, weight)
        if goal.shape[-1] != 1:
            raise ValueError(f"loss=bce: balanced=true is for goals of one value, not of {goal.shape[-1]}")
        each = self.per_token(prediction.float(), goal)
        weight = torch.ones_like(each) if weight is None else weight
        parts = [weight * (goal[..., 0] > 0.5), weight * (goal[..., 0] <= 0.5)]
        return torch.stack([(each * part).sum() / part.sum().clamp(min=1e-8) for part in parts]).sum()
