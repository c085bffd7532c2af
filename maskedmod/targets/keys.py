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
from maskedmod.core.mixed import Mixed
from maskedmod.core.schedules import Ramp, value
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step


class Keys(Target):
    """The key of every place (MoCo, He et al. 2020, section 3.2; Point-BERT, Yu et al. 2022, section 3.3): the objective's own
    head, as an average over time that begins equal to it, on what the teacher (``teacher=ema``) says of the same places.

    ``width``: of a key, which is what the head gives. ``momentum``: ``key = m * key + (1 - m) * head`` after every optimiser
    step, a number or a schedule; as a rule the teacher's. A view of mixed samples has the keys of the view that it is mixed
    from; beside one, every row has one more value, the share of its own sample, 1 where nothing is mixed. For losses that
    compare samples, such as ``loss=queue_contrast``.
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
        """-> ``[M, J, T, width]``, packed ``[T, width]``, pooled ``[M, width]``; one more beside mixed samples."""
        tokens = step.views[view].tokens
        own = step.views[tokens.of if isinstance(tokens, Mixed) else view]
        if own.teacher is None:
            raise ValueError(f"target=keys: the teacher does not look at the view {view!r}; name others in objectives.NAME.views")
        keys: Tensor = self.head(replace(own, student=own.teacher), where)
        if not any(isinstance(each.tokens, Mixed) for each in step.views.values()):
            return keys
        if where.index is not None:
            raise ValueError("target=keys beside mixed samples describes samples; set region=pooled")
        share = tokens.share if isinstance(tokens, Mixed) else None
        share = torch.ones(len(keys), device=keys.device) if share is None else share
        return torch.cat([keys.float(), share[:, None]], dim=1)

    @torch.no_grad()
    def after_step(self, ctx: Context) -> None:
        """Follow the head."""
        mine, theirs = list(self.head.parameters()), list(self._followed[0].parameters())
        torch._foreach_lerp_(mine, theirs, 1.0 - value(self.momentum, ctx))  # type: ignore[arg-type]
