"""Yes or no per token."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from maskedmod.losses import Loss, Reduce
from maskedmod.tokens import Spec


class Bce(Loss):
    """Binary cross-entropy of logits against 0/1 goals, mean over a token's values; ``positive`` weights the ones."""

    def __init__(self, spec: Spec, positive: float = 1.0, reduce: Reduce = "token_mean") -> None:
        super().__init__()
        self.positive, self.reduce = positive, reduce

    def per_token(self, prediction: Tensor, goal: Tensor) -> Tensor:
        weight = prediction.new_tensor(self.positive)
        each = F.binary_cross_entropy_with_logits(prediction, goal.float(), reduction="none", pos_weight=weight)
        return each.mean(-1)
