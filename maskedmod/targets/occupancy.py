"""Real points against made-up ones."""

from __future__ import annotations

import torch
from torch import Tensor

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
    counts for nothing, as it may as well be real. Needs a modality whose signal is points ``[B, P, 3]``, and region=pooled: it
    asks at places of its own. Places are drawn anew for every row by the step's generator.
    """

    def __init__(self, spec: Spec, real: int = 256, fake: int = 256, spacing: int = 256) -> None:
        super().__init__()
        if min(real, fake) < 1 or spacing < 2:
            raise ValueError(f"target=occupancy: real={real}, fake={fake} must be at least 1, spacing={spacing} at least 2")
        self.width, self.real, self.fake, self.spacing = 1, real, fake, spacing

    def places(self, step: Step, view: str, where: Where) -> Where:
        """``at`` ``[M, 1, real + fake, 3]``, real ones first; ``weight`` is 0 for fake ones that are too near."""
        signal = step.batch.get(step.modality.signal)
        if where.index is not None or not isinstance(signal, Tensor) or signal.ndim != 3:
            raise ValueError("target=occupancy asks at places of a cloud of points: use region=pooled")
        masks = step.views[view].mask.per_sample
        points = signal.float().repeat_interleave(masks, dim=0)
        real = take(points, farthest_points(points, self.real))
        low, high = real.amin(1, keepdim=True), real.amax(1, keepdim=True)
        shape = (len(points), self.fake, points.shape[-1])
        fake = low + (high - low) * torch.rand(shape, generator=step.ctx.generator, device=points.device)
        far = squared_distances(fake, points).amin(-1).sqrt() >= self._between(points)
        weight = torch.cat([torch.ones(real.shape[:2], device=points.device), far.float()], dim=1)
        return Where(None, weight[:, None], torch.cat([real, fake], dim=1)[:, None])

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> ``[M, 1, real + fake, 1]``, 1 for points of the cloud."""
        assert where.at is not None, "places() has been asked"
        number = torch.arange(where.at.shape[2], device=where.at.device)
        return (number < self.real).float()[:, None].expand(*where.at.shape[:3], 1)

    def _between(self, points: Tensor) -> Tensor:
        """Mean distance to the nearest neighbour among points spread over the cloud, ``[M, 1]``."""
        spread = take(points, farthest_points(points, self.spacing))
        distance = squared_distances(spread, spread)
        distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        return distance.amin(-1).sqrt().mean(-1, keepdim=True)
