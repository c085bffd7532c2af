"""What a teacher attends to decides what stays visible."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import Count, from_noise
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens


class ScoreGuided(Mask):
    """Tokens are ranked by how much the teacher's class token attends to them, mean of the heads (MILAN, Hou et al. 2022,
    section 3.3; AttMask, Kakogeorgiou et al. 2022).

    ``ratio``: share that is hidden, ``count`` how it becomes a number. ``keep``: ``sample``: visible ones are drawn without
    replacement with probabilities in the ratio of the attention (MILAN); ``high``, ``low``: those with the most, the least.
    ``attention``: the tap of the teacher that is read; the teacher must be told to give it (``teacher.taps=[attention.-1]``).
    For dense tokens; a teacher without class token is an error.
    """

    needs_teacher = True

    def __init__(
        self,
        spec: Spec,
        ratio: float = 0.75,
        keep: Literal["sample", "high", "low"] = "sample",
        attention: str = "attention.-1",
        count: Count = "keep_int",
        masks_per_sample: int = 1,
    ) -> None:
        super().__init__()
        if not 0 < ratio < 1:
            raise ValueError(f"mask.ratio is {ratio}, expected more than 0 and less than 1")
        self.ratio, self.keep, self.attention, self.count = ratio, keep, attention, count
        self.per_sample = masks_per_sample

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        """Dense rows -> MaskSet; kept tokens in the order in which they were drawn."""
        scores = self._scores(rows, ctx)
        if self.keep == "sample":  # the largest of log p + Gumbel noise are a sample without replacement
            uniform = torch.rand(scores.shape, generator=ctx.generator, device=scores.device)
            tiny = torch.finfo(scores.dtype).tiny
            rank = -(scores.clamp(min=tiny).log() - (-uniform.clamp(min=tiny).log()).log())
        else:
            rank = -scores if self.keep == "high" else scores
        order = rank.argsort(1).argsort(1) / rank.shape[1]
        return from_noise(order, self.ratio, rows, self.count, self.per_sample)

    def _scores(self, rows: Tokens, ctx: Context) -> Tensor:
        """Attention from the class token ``[M, N]``, float32."""
        latent = ctx.teacher
        maps = None if latent is None else latent.taps.get(self.attention)
        if latent is None or maps is None:
            raise ValueError(f"mask=score_guided needs a teacher with the tap {self.attention}: teacher.taps=[{self.attention}]")
        if not latent.has_class or latent.prefix is None:
            raise ValueError("mask=score_guided needs a teacher with a class token")
        scores = maps[:, :, 0, latent.prefix.shape[1] :].float().mean(1)
        if scores.shape[1] != rows.shape[1]:
            raise ValueError(f"the teacher attends to {scores.shape[1]} tokens, the student has {rows.shape[1]}")
        return scores.repeat_interleave(self.per_sample, 0)
