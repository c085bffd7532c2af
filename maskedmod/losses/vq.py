"""Vectors and their codes drawn together."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.blocks.loss import Loss, Reduce
from maskedmod.core.spec import Spec


class Vq(Loss):
    """``codebook * mean((sg[x] - q)^2) + commitment * mean((x - sg[q])^2)`` (van den Oord et al. 2017, eq. 3): x the encoder's
    vector, q its code's, sg without gradient. The mean is over the D values of a vector, as in released code. ``codebook``: 0
    where the codes follow a moving average (BEiT v2)."""

    def __init__(self, spec: Spec, commitment: float = 0.25, reduce: Reduce = "token_mean", codebook: float = 1.0) -> None:
        super().__init__()
        self.commitment, self.reduce, self.codebook = commitment, reduce, codebook

    def per_token(self, prediction: Tensor, goal: Tensor) -> Tensor:
        book = (prediction.detach() - goal).square().mean(-1)
        return self.codebook * book + self.commitment * (prediction - goal.detach()).square().mean(-1)
