"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) of whole batches, on the normalised signal of any modality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from maskedmod.core.context import Context
from maskedmod.core.modality import Modality
from maskedmod.errors import UserError


@dataclass(frozen=True)
class Mixing:
    """``mixup``, ``cutmix``: alpha of the Beta distribution of the share that a sample keeps, 0 for none; with both, every batch
    takes one of them at even chance. A sample's partner is the one at the same place from the end of the batch."""

    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def on(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    def __call__(self, modality: Modality, batch: dict[str, Any], goal: Tensor, ctx: Context) -> tuple[dict[str, Any], Tensor]:
        """The prepared batch and its goals ``[B, K]``, both mixed. UserError for modalities whose samples cannot be mixed."""
        if not self.on:
            return batch, goal
        signal = self.check(modality, batch, len(goal))
        rng = ctx.host_rng().spawn(1)[0]
        cut = self.cutmix > 0 and (self.mixup == 0 or rng.random() < 0.5)
        keep = float(rng.beta(self.cutmix, self.cutmix) if cut else rng.beta(self.mixup, self.mixup))
        if cut:
            signal, keep = _cut(signal, keep, len(modality.spec.grid or ()), rng)
        else:
            signal = signal * keep + signal.flip(0) * (1 - keep)
        return {**batch, modality.signal: signal}, goal * keep + goal.flip(0) * (1 - keep)

    def check(self, modality: Modality, batch: dict[str, Any], count: int) -> Any:
        """The signal of a prepared batch of ``count`` samples. UserError where these cannot be mixed as wanted."""
        signal = batch.get(modality.signal)
        if not self.on:
            return signal
        if not isinstance(signal, Tensor) or not signal.is_floating_point() or len(signal) != count:
            raise UserError("mixup and cutmix need a modality whose samples are arrays of numbers of one size; set both to 0")
        if self.cutmix > 0 and not 0 < len(modality.spec.grid or ()) < signal.ndim:
            raise UserError("cutmix needs samples that lie on a lattice, such as images; mixup does not")
        return signal


def _cut(signal: Tensor, keep: float, axes: int, rng: np.random.Generator) -> tuple[Tensor, float]:
    """One box of all samples from their partners -> the signal and the share that was really kept: the box is cut off at the
    border. ``axes``: the last ones are those of the lattice."""
    sizes = signal.shape[-axes:]
    share = (1 - keep) ** (1 / axes)
    box: list[slice] = []
    for size in sizes:
        middle, half = int(rng.integers(size)), int(size * share) // 2
        box.append(slice(max(0, middle - half), min(size, middle + half)))
    place: Any = (..., *box)
    mixed = signal.clone()
    mixed[place] = signal.flip(0)[place]
    inside = float(np.prod([(one.stop - one.start) / size for one, size in zip(box, sizes, strict=True)]))
    return mixed, 1 - inside
