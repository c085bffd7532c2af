"""Distance between sets of points."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from maskedmod.core.blocks.loss import Loss, Reduce
from maskedmod.core.spec import Spec
from maskedmod.layers.points.distances import squared_distances


class Chamfer(Loss):
    """Chamfer distance of two sets of points in no order: every point is compared with the nearest one of the other set (Fan et
    al. 2017, eq. 3; Point-MAE, Pang et al. 2022, eq. 3).

    ``kind``: l2, ``mean |p - y*|^2 + mean |y - p*|^2`` (Point-MAE); l1, half the sum of the mean distances (Point-BERT).
    ``axes``: numbers of one point, null = the position axes of the modality. ``coarse``: that many points of a prediction come
    first and are a set of their own, which is compared as well (``head=folding``: a quarter of a group's points). ``reduce``:
    token_mean, sample_mean or sum.
    """

    def __init__(
        self,
        spec: Spec,
        kind: Literal["l2", "l1"] = "l2",
        axes: int | None = None,
        coarse: int = 0,
        reduce: Reduce = "token_mean",
    ) -> None:
        super().__init__()
        self.kind, self.reduce, self.axes, self.coarse = kind, reduce, axes or spec.axes, coarse
        if spec.target % self.axes:
            raise ValueError(f"loss=chamfer: {spec.target} numbers of a target are no points of {self.axes}")

    def per_token(self, prediction: Tensor, goal: Tensor) -> Tensor:
        """Sets flattened as ``[..., S * axes]``, of equal or different sizes S -> ``[...]``."""
        p, y = (x.float().unflatten(-1, (-1, self.axes)) for x in (prediction, goal))
        if not self.coarse:
            return self._between(p, y)
        if p.shape[-2] <= y.shape[-2]:  # no coarse points: a set like the goal, as a mean is
            return 2 * self._between(p, y)
        return self._between(p[..., : self.coarse, :], y) + self._between(p[..., self.coarse :, :], y)

    def _between(self, p: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():  # who is nearest has no gradient: only the chosen pairs are differentiated, O(S) and not O(S^2)
            distance = squared_distances(p, y)
            to_goal, to_prediction = distance.argmin(-1), distance.argmin(-2)
        return self._mean(p, _at(y, to_goal)) + self._mean(y, _at(p, to_prediction))

    def _mean(self, a: Tensor, b: Tensor) -> Tensor:
        square = (a - b).square().sum(-1)
        if self.kind == "l2":
            return square.mean(-1)
        return square.clamp(min=1e-12).sqrt().mean(-1) / 2  # the root has no gradient at 0


def _at(points: Tensor, index: Tensor) -> Tensor:
    return points.gather(-2, index[..., None].expand(*index.shape, points.shape[-1]))
