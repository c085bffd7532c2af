"""What every loss promises, and how losses of tokens become one number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from torch import Tensor, nn

Reduce = Literal["token_mean", "sample_mean", "sum"]


def reduce_tokens(per_token: Tensor, weight: Tensor | None, how: Reduce) -> Tensor:
    """Per-token losses ``[M, J, T]`` (packed ``[T]``, pooled ``[M]``) to one number. Papers differ, so it is a recipe field.

    ``token_mean``: weighted sum over all tokens / sum of weights (MAE). ``sample_mean``: that per row, then the mean over
    rows that have weight. ``sum``: weighted sum. No token at all (a batch of short sequences of which none was hidden): 0.
    """
    if per_token.numel() == 0:
        return per_token.sum()
    if weight is None:
        if how == "sum":
            return per_token.sum()
        if how == "token_mean" or per_token.ndim == 1:
            return per_token.mean()
        return per_token.flatten(1).mean(1).mean()
    weighted = per_token * weight
    if how == "sum":
        return weighted.sum()
    if how == "token_mean" or per_token.ndim == 1:
        return weighted.sum() / weight.sum().clamp(min=1e-8)
    rows, counts = weighted.flatten(1).sum(1), weight.flatten(1).sum(1)
    return (rows / counts.clamp(min=1e-8)).sum() / (counts > 0).sum().clamp(min=1)


class Loss(nn.Module, ABC):
    """Base of losses, built as ``block(spec, **arguments)``. ``reduce`` is one of token_mean, sample_mean, sum."""

    reduce: Reduce = "token_mean"

    @abstractmethod
    def per_token(self, prediction: Tensor, goal: Tensor) -> Tensor:
        """Loss of every position before reduction: predictions ``[..., out]`` -> ``[...]``."""

    def of_mean(self, mean: Tensor) -> Tensor:
        """The prediction that says the mean of goals, wherever it is asked: what a model must beat."""
        return mean

    def forward(self, prediction: Tensor, goal: Tensor, weight: Tensor | None = None) -> Tensor:
        """One number; float32 whatever the autocast dtype."""
        return reduce_tokens(self.per_token(prediction.float(), goal), weight, self.reduce)
