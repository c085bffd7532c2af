"""How evenly a sample uses a vocabulary."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from maskedmod.core.blocks.loss import Loss
from maskedmod.core.spec import Spec


class Shares(Loss):
    """``KL(goal || mean of softmax(scores))``, the mean over a sample's tokens: with the goal ``uniform`` it is least when a
    sample uses all codes alike (prior of the discrete VAE in Point-BERT's released code, Yu et al. 2022). Mean over samples.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()

    def per_token(self, prediction: Tensor, goal: Tensor) -> Tensor:
        """The divergence of every token by itself."""
        return F.kl_div(prediction.log_softmax(-1), goal, reduction="none").sum(-1)

    def forward(self, prediction: Tensor, goal: Tensor, weight: Tensor | None = None) -> Tensor:
        shares = prediction.float().softmax(-1)
        if weight is None:
            used = shares.mean(-2)
        else:
            used = (shares * weight[..., None]).sum(-2) / weight.sum(-1, keepdim=True).clamp(min=1e-8)
        return F.kl_div(used.clamp(min=1e-12).log(), goal[..., 0, :].float(), reduction="none").sum(-1).mean()
