"""Exponential moving average of the student's encoder."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from maskedmod.core.apply import Seen
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.blocks.teacher import Teacher
from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.schedules import Ramp, value
from maskedmod.core.spec import Spec


class Ema(Teacher):
    """``teacher = m * teacher + (1 - m) * student`` after every optimiser step, in float32; buffers are copied.

    ``momentum``: m, or a schedule (I-JEPA: 0.996 to 1, linear). ``sees``: full, same (the student's own masked input), or own
    (another draw of the mask: the keys of MaskPoint and Point-BERT). ``start``: steps during which the teacher is a plain copy.
    ``in_training``: in training the teacher is in training too: it drops what the student drops (values, attention weights,
    edges, paths; draws of its own), normalises by the batch, and its buffers are its own (GraphMAE2's released code, MoCo).
    """

    follows = True

    def __init__(
        self,
        spec: Spec,
        student: Encoder,
        momentum: float | Ramp = 0.996,
        sees: Literal["full", "same", "own"] = "full",
        start: int = 0,
        in_training: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(student).requires_grad_(False)
        self.width, self.momentum, self.sees, self.start = student.width, momentum, sees, start
        self.in_training = in_training

    def train(self, mode: bool = True) -> Ema:
        """A teacher drops nothing, unless it is to."""
        super().train(mode)
        self.encoder.train(mode and self.in_training)
        return self

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        return self.encoder(seen, taps)

    @torch.no_grad()
    def update(self, student: nn.Module, ctx: Context) -> None:
        momentum = 0.0 if ctx.step < self.start else value(self.momentum, ctx)
        mine: list[Tensor] = list(self.encoder.parameters())
        theirs: list[Tensor] = list(student.parameters())
        torch._foreach_lerp_(mine, theirs, 1.0 - momentum)
        if self.in_training:
            return
        for ours, new in zip(self.encoder.buffers(), student.buffers(), strict=True):
            ours.copy_(new)
