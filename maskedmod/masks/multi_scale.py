"""One random mask for all scales of a pyramid, drawn at the coarsest."""

from __future__ import annotations

import torch
from torch import Tensor

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import Count, from_masked, from_noise
from maskedmod.core.pyramid import Pyramid, PyramidMask, seen_below
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens


class MultiScale(Mask):
    """Hide a share of the coarsest tokens at random and go down: a finer token is visible when a visible coarser one is made of
    it (Point-M2AE, Zhang et al. 2022, section 3.1). How many are visible below differs from sample to sample.

    ``ratio``: share that is hidden at the coarsest level; ``count``: how it becomes a number. ``spill``: the released code marks
    index 0 for every hidden token, so that the first token of the first sample is visible on every finer level; off: no token is
    visible without reason. ``masks_per_sample``: K. Needs tokens of several scales.
    """

    def __init__(
        self, spec: Spec, ratio: float = 0.8, count: Count = "mask_int", spill: bool = False, masks_per_sample: int = 1
    ) -> None:
        super().__init__()
        if not 0.0 < ratio < 1.0:
            raise ValueError(f"mask.ratio must lie between 0 and 1, not {ratio}")
        self.ratio, self.count, self.spill, self.per_sample = ratio, count, spill, masks_per_sample

    def forward(self, rows: Tokens, ctx: Context) -> PyramidMask:
        """Pyramid rows -> a mask of all levels."""
        if not isinstance(rows, Pyramid):
            raise ValueError("mask=multi_scale needs tokens of several scales; the modality gives one (points: modality.coarser)")
        shape = rows.levels[-1].pos.shape[:2]
        noise = torch.rand(shape, generator=ctx.generator, device=rows.device)
        return project(rows, from_noise(noise, self.ratio, None, self.count, self.per_sample), self.spill)


def project(rows: Pyramid, top: MaskSet, spill: bool = False) -> PyramidMask:
    """The mask of all levels from that of the coarsest, which hides the same number in every row. ``spill`` as in MultiScale."""
    hidden = top.targets.shape[-1]
    scales, seen, most_seen = [top], ~top.hidden, top.role.shape[1] - hidden
    for level, below in zip(reversed(rows.levels), reversed(rows.levels[:-1]), strict=False):
        count = below.pos.shape[1]
        seen = seen_below(seen, level.members, count)
        if spill and hidden:
            seen[0, 0] = True
        most_seen = min(count, most_seen * level.members.shape[2] + spill)
        scales.insert(0, _padded(~seen, count - most_seen, top.per_sample))
    return PyramidMask(**vars(scales[rows.at]), scales=tuple(scales))


def _padded(hidden: Tensor, fewest: int, per_sample: int) -> MaskSet:
    """Lists as long as the longest of the batch; on a GPU, where reading that would wait, as long as any can be."""
    if not hidden.is_cuda:
        return from_masked(hidden, per_sample=per_sample)
    return from_masked(hidden, hidden.shape[1], fewest, per_sample)
