"""Classification of tokens."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from maskedmod.core.blocks.loss import Loss, Reduce
from maskedmod.core.spec import Spec


class CrossEntropy(Loss):
    """``-sum y log softmax(p / temperature)``; goals are ids, or probabilities over the classes.

    ``smoothing``: label smoothing. ``ignore``: an id that is left out.
    """

    def __init__(
        self, spec: Spec, smoothing: float = 0.0, temperature: float = 1.0, ignore: int = -100, reduce: Reduce = "token_mean"
    ) -> None:
        super().__init__()
        self.smoothing, self.temperature, self.ignore, self.reduce = smoothing, temperature, ignore, reduce

    def per_token(self, prediction: Tensor, goal: Tensor) -> Tensor:
        logits = (prediction / self.temperature).flatten(0, -2)
        flat = goal.flatten() if not goal.is_floating_point() else goal.flatten(0, -2)
        loss = F.cross_entropy(logits, flat, reduction="none", label_smoothing=self.smoothing, ignore_index=self.ignore)
        return loss.reshape(prediction.shape[:-1])
