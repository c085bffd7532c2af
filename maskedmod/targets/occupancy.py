"""Real points against made-up ones."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.core.tokens import take
from maskedmod.layers.points.distances import farthest_points, squared_distances


class Occupancy(Target):
    """Whether a place in space is a point of the cloud (MaskPoint, Liu et al. 2022, section 3.2).

    ``real`` points of the cloud, farthest from one another, are to be told from ``fake`` places drawn evenly in the box around
    them. A fake place nearer to the cloud than the mean distance of ``spacing`` such points from their nearest neighbours
    counts for nothing, as it may as well be real; ``near``: a distance in place of that mean, 0 for none. ``query``: where real
    places are: ``points``, or ``centres``, those of all tokens. ``goal``: a ``score`` for real; scores of fake and real
    (``two``, as released) for losses of values; or the ``class``, 0 or 1. Needs a modality whose signal is points
    ``[B, P, 3]``, and region=pooled: it asks at places of its own. Places are drawn anew for every row by the step's generator.
    """

    def __init__(
        self,
        spec: Spec,
        real: int = 256,
        fake: int = 256,
        spacing: int = 256,
        near: float | None = None,
        query: Literal["points", "centres"] = "points",
        goal: Literal["score", "two", "class"] = "score",
    ) -> None:
        super().__init__()
        if min(real, fake) < 1 or spacing < 2:
            raise ValueError(f"target=occupancy: real={real}, fake={fake} must be at least 1, spacing={spacing} at least 2")
        if near is not None and near < 0:
            raise ValueError(f"target=occupancy: near={near} must be 0 or more")
        self.real, self.fake, self.spacing, self.near, self.query, self.goal = real, fake, spacing, near, query, goal
        self.width, self.discrete = 1 if goal == "score" else 2, goal == "class"

    def places(self, step: Step, view: str, where: Where) -> Where:
        """``at`` ``[M, 1, real + fake, 3]``, real ones first; ``weight`` is 0 for fake ones that are too near."""
        signal = step.batch.get(step.modality.signal)
        if where.index is not None or not isinstance(signal, Tensor) or signal.ndim != 3:
            raise ValueError("target=occupancy asks at places of a cloud of points: use region=pooled")
        masks = step.views[view].mask.per_sample
        points = signal.float().repeat_interleave(masks, dim=0)
        if self.query == "centres":
            real = step.views[view].rows.pos.float()
        else:
            real = take(points, farthest_points(points, self.real))
        low, high = real.amin(1, keepdim=True), real.amax(1, keepdim=True)
        shape = (len(points), self.fake, points.shape[-1])
        fake = low + (high - low) * torch.rand(shape, generator=step.ctx.generator, device=points.device)
        least = self._between(points) if self.near is None else self.near
        far = squared_distances(fake, points).amin(-1).sqrt() >= least
        weight = torch.cat([torch.ones(real.shape[:2], device=points.device), far.float()], dim=1)
        return Where(None, weight[:, None], torch.cat([real, fake], dim=1)[:, None])

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> ``[M, 1, real + fake, 1]``, 1 for points of the cloud; ``two``: ``[..., 2]``; ``class``: int64 without that axis."""
        assert where.at is not None, "places() has been asked"
        number = torch.arange(where.at.shape[2], device=where.at.device)
        real = (number < where.at.shape[2] - self.fake).expand(where.at.shape[:3])
        if self.goal == "class":
            return real.long()
        return F.one_hot(real.long(), 2).float() if self.goal == "two" else real.float()[..., None]

    def _between(self, points: Tensor) -> Tensor:
        """Mean distance to the nearest neighbour among points spread over the cloud, ``[M, 1]``."""
        spread = take(points, farthest_points(points, self.spacing))
        distance = squared_distances(spread, spread)
        distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        return distance.amin(-1).sqrt().mean(-1, keepdim=True)
