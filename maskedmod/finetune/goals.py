"""From labels to what is learned, and from the network's output to what is judged, for every kind of task."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskedmod.errors import UserError
from maskedmod.evaluate.labels import Labels
from maskedmod.evaluate.token_labels import UNKNOWN


class Goal(nn.Module):
    """``labels``: those of the training part. ``outputs``: values that the network gives for a sample, or for a token.

    Goals of samples are floats ``[B, outputs]`` that can be mixed linearly: shares of classes, answers, or numbers at mean 0 and
    deviation 1 of the training part; NaN (a missing answer or number) stays NaN and is left out of the loss. Goals of tokens
    are classes int64 ``[T]``."""

    def __init__(self, labels: Labels, smoothing: float = 0.0) -> None:
        super().__init__()
        self.task, self.smoothing = labels.task, smoothing
        self.outputs = len(labels.names) if labels.task in ("classes", "tokens") else labels.y.shape[1]
        offset, scale = torch.zeros(self.outputs), torch.ones(self.outputs)
        if labels.task == "numbers":
            offset, scale = _standard(labels.y)
        self.register_buffer("offset", offset)
        self.register_buffer("scale", scale)
        self.offset: Tensor
        self.scale: Tensor

    def forward(self, labels: Tensor) -> Tensor:
        """Goals of the labels of a batch. Smoothing gives every class ``smoothing / classes`` (Szegedy et al. 2016, section 7);
        answers keep their 0 and 1."""
        if self.task == "classes":
            return F.one_hot(labels, self.outputs).float() * (1 - self.smoothing) + self.smoothing / self.outputs
        if self.task == "numbers":
            return (labels - self.offset) / self.scale
        return labels

    def loss(self, out: Tensor, goal: Tensor) -> Tensor:
        """Mean over samples (or tokens, answers, numbers) that have a label."""
        out = out.float()
        if self.task == "classes":
            return F.cross_entropy(out, goal)
        if self.task == "tokens":
            total = F.cross_entropy(out, goal, ignore_index=UNKNOWN, label_smoothing=self.smoothing, reduction="sum")
            return total / (goal != UNKNOWN).sum().clamp(min=1)
        known = ~goal.isnan()
        filled = torch.where(known, goal, 0.0)
        wrong = F.binary_cross_entropy_with_logits if self.task == "tags" else F.mse_loss
        return (wrong(out, filled, reduction="none") * known).sum() / known.sum().clamp(min=1)

    def answer(self, out: Tensor) -> Tensor:
        """Scores as they are, numbers on the scale of the labels."""
        return out.float() * self.scale + self.offset if self.task == "numbers" else out.float()


def _standard(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every column over its known values; a constant column is only shifted."""
    known = ~y.isnan()
    count = known.sum(0)
    if bool((count == 0).any()):
        raise UserError(f"column {int((count == 0).nonzero()[0])} of the labels has no number in the training part")
    mean = y.nan_to_num(0.0).sum(0) / count
    variance = (torch.where(known, y - mean, 0.0)).square().sum(0) / count
    return mean, torch.where(variance > 0, variance.sqrt(), 1.0)
