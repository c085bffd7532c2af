"""Angle between prediction and target."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from maskedmod.core.blocks.loss import Loss, Reduce
from maskedmod.core.spec import Spec


class Cosine(Loss):
    """``scale * (1 - cos(p, y)) ** gamma`` (GraphMAE's scaled cosine error, Hou et al. 2022, eq. 2; BYOL: scale 2, gamma 1)."""

    def __init__(self, spec: Spec, gamma: float = 1.0, scale: float = 1.0, reduce: Reduce = "token_mean") -> None:
        super().__init__()
        self.gamma, self.scale, self.reduce = gamma, scale, reduce

    def per_token(self, prediction: Tensor, goal: Tensor) -> Tensor:
        distance = 1.0 - F.cosine_similarity(prediction, goal.float(), dim=-1)
        return self.scale * distance.clamp(min=0).pow(self.gamma)
