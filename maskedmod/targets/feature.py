"""Latents of a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.latent import Latent
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.core.tokens import take

Norm = Literal["none", "layer", "instance", "batch", "l2"]
Norms = Norm | Sequence[Norm]


class Feature(Target):
    """What a teacher makes of the tokens: its output, or the mean of some of its layers.

    ``layers``: empty = the final output (I-JEPA); else block numbers whose results are averaged, negative from the end
    (data2vec: the last 6). ``of``: ``block`` output, or ``mlp`` branch before its residual (data2vec 2.0).
    ``norm``: of every layer before averaging: none, layer (LayerNorm without affine), instance (over tokens), batch (over tokens
    and samples), l2, or a list of them in their order; ``post_norm``: the same after averaging. ``eps`` 1e-5 as F.layer_norm.
    Computed in float32.
    """

    needs_teacher = True

    def __init__(
        self,
        spec: Spec,
        layers: Sequence[int] = (),
        of: Literal["block", "mlp"] = "block",
        norm: Norms = "layer",
        post_norm: Norms = "none",
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        if not spec.teacher:
            raise ValueError("target=feature needs a teacher; add teacher=ema or another")
        self.width = spec.teacher
        self.teacher_taps = tuple(f"{of}.{i}" for i in layers)
        self.norm, self.post_norm, self.eps = norm, post_norm, eps

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> ``[M, J, T, D]`` (packed ``[T, D]``, pooled ``[M, D]``)."""
        here = step.views[view]
        assert here.teacher is not None
        if where.index is None:
            return self._normalise(here.teacher.pooled().float(), self.norm).repeat_interleave(here.mask.per_sample, 0)
        features = self.all_tokens(here.teacher)
        if here.teacher.index is not None:
            raise ValueError("target=feature needs a teacher that sees all tokens (teacher.sees=full)")
        if features.ndim == 2:  # packed rows are K tilings of the batch
            return features[where.index % len(features)]
        return take(features, where.index)

    @torch.no_grad()
    def all_tokens(self, teacher: Latent) -> Tensor:
        """Target of every token ``[B, N, D]`` (packed ``[L, D]``)."""
        sources = [teacher.taps[tap] for tap in self.teacher_taps] or [teacher.tokens]
        total = torch.stack([self._normalise(x.float(), self.norm) for x in sources]).mean(0)
        return self._normalise(total, self.post_norm)

    def _normalise(self, x: Tensor, how: Norms) -> Tensor:
        for kind in (how,) if isinstance(how, str) else how:
            x = self._once(x, kind)
        return x

    def _once(self, x: Tensor, how: Norm) -> Tensor:
        if how == "layer":
            return F.layer_norm(x, x.shape[-1:], eps=self.eps)
        if how == "instance":
            return F.instance_norm(x.transpose(-1, -2), eps=self.eps).transpose(-1, -2)
        if how == "batch":
            return F.batch_norm(x.flatten(0, -2), None, None, training=True, eps=self.eps).reshape(x.shape)
        if how == "l2":
            return F.normalize(x, dim=-1)
        return x
