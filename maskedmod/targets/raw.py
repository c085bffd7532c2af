"""The token values themselves, as they are or normalised inside each token."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step, View
from maskedmod.core.tokens import take


class Raw(Target):
    """``y = x`` or ``y = (x - mean) / sqrt(var + eps)`` inside each token, all channels together (MAE, section 4.1).

    ``norm``: none or patch. ``unbiased``: divide the variance by P - 1, as MAE's code does. ``eps``: 1e-6.
    """

    def __init__(self, spec: Spec, norm: Literal["none", "patch"] = "none", unbiased: bool = True, eps: float = 1e-6) -> None:
        super().__init__()
        if spec.vocab is not None:
            raise ValueError("target=raw needs values; tokens of this modality are ids, use target=token_ids")
        self.width, self.norm, self.unbiased, self.eps = spec.values, norm, unbiased, eps
        self.note = "drawn with the true mean and deviation of every patch" if norm == "patch" else ""

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> ``[M, J, T, P]`` (packed ``[T, P]``) float32."""
        if where.index is None:
            raise ValueError("target=raw describes tokens; region=pooled has none")
        picked = take(step.views[view].source.values, where.index).float().flatten(where.index.ndim)
        if self.norm == "none":
            return picked
        mean, deviation = self._moments(picked)
        return (picked - mean) / deviation

    def restore(self, values: Tensor, view: View) -> Tensor:
        """Undo the normalisation with the true moments of every token."""
        if self.norm == "none":
            return values
        mean, deviation = self._moments(view.rows.values.float())
        return values * deviation + mean

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        var, mean = torch.var_mean(x, dim=-1, keepdim=True, correction=1 if self.unbiased else 0)
        return mean, (var + self.eps).sqrt()
