"""What a moving average of the head makes of the teacher's latent: keys of a contrast."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from maskedmod.core.blocks.head import Head
from maskedmod.core.blocks.target import Target
from maskedmod.core.context import Context
from maskedmod.core.mask_set import Where
from maskedmod.core.schedules import Ramp, value
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step


class Keys(Target):
    """The key of every place (MoCo, He et al. 2020, section 3.2; Point-BERT, Yu et al. 2022, section 3.3): the objective's own
    head, as an average over time that begins equal to it, on what the teacher (``teacher=ema``) says of the same places.

    ``width``: of a key, which is what the head gives. ``momentum``: ``key = m * key + (1 - m) * head`` after every optimiser
    step, a number or a schedule; as a rule the teacher's. For losses that compare samples, such as ``loss=queue_contrast``.
    """

    needs_teacher = True

    def __init__(self, spec: Spec, width: int = 256, momentum: float | Ramp = 0.999) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"target.width must be 1 or more, not {width}")
        self.width, self.momentum = width, momentum
        self._followed: list[Head] = []  # a list: the module stays the objective's, here it is only read

    def bind(self, head: Head) -> None:
        """Begin as this head."""
        self.head = copy.deepcopy(head).requires_grad_(False)
        self._followed = [head]

    def train(self, mode: bool = True) -> Keys:
        """Keys never drop anything."""
        super().train(mode)
        if self._followed:
            self.head.eval()
        return self

    @torch.no_grad()
    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> ``[M, J, T, width]``, packed ``[T, width]``, pooled ``[M, width]``."""
        teacher = step.views[view].teacher
        assert teacher is not None, "the model has checked that there is one"
        return self.head(replace(step.views[view], student=teacher), where)  # type: ignore[no-any-return]

    @torch.no_grad()
    def after_step(self, ctx: Context) -> None:
        """Follow the head."""
        mine, theirs = list(self.head.parameters()), list(self._followed[0].parameters())
        torch._foreach_lerp_(mine, theirs, 1.0 - value(self.momentum, ctx))  # type: ignore[arg-type]
