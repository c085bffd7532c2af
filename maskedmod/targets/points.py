"""The points of a group."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step, View
from maskedmod.core.tokens import take


class Points(Target):
    """Coordinates of a group's points relative to its centre, a set without order (Point-MAE, Pang et al. 2022, section 3.3)."""

    unordered = True

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        if spec.vocab is not None or spec.axes < 2 or spec.values % spec.axes:
            raise ValueError("target=points needs tokens that are groups of points")
        self.width = spec.values

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> ``[M, J, T, S * axes]`` float32."""
        if where.index is None:
            raise ValueError("target=points describes tokens; region=pooled has none")
        return take(step.views[view].source.values, where.index).float().flatten(where.index.ndim)

    def restore(self, values: Tensor, view: View) -> Tensor:
        """Predictions ``[M, N, S * axes]`` as token values ``[M, N, S, axes]``; S need not be that of the groups."""
        return values.unflatten(-1, (-1, view.rows.values.shape[-1]))
