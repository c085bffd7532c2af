"""Roll a clip round in time and change its loudness, as Audio-MAE does in pre-training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.context import Context


class Roll(nn.Module):
    """Audio-MAE's augmentation of waveforms (Huang et al. 2022, section 4.1; ``_roll_mag_aug`` of the official code).

    ``shift``: largest roll as a share of the clip, 1 = anywhere; what leaves at the end comes back at the start of the clip
    (padding stays where it is). With one channel the official code always draws a roll of 0; ``shift=0`` reproduces that.
    ``gain``: the factor is Beta(gain, gain) + 0.5, so it is about 1 and lies in 0.5 to 1.5; a whole number, 0 = no change.
    Raises ValueError for values outside.
    """

    def __init__(self, shift: float = 1.0, gain: int = 10) -> None:
        super().__init__()
        if not 0.0 <= shift <= 1.0:
            raise ValueError(f"roll shift is {shift}; expected 0 to 1")
        if gain < 0:
            raise ValueError(f"roll gain is {gain}; expected 0 or more")
        self.shift, self.gain = shift, gain

    def forward(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """``batch``: ``wave`` float ``[B, S]`` and, where clips differ, ``lengths`` int64 ``[B]``."""
        wave: Tensor = batch["wave"]
        b, size = wave.shape
        draw = torch.rand(b, 2 * max(1, self.gain), generator=ctx.generator, device=wave.device)
        if self.shift > 0:
            lengths = batch.get("lengths", torch.full((b,), size, device=wave.device))[:, None]
            place = torch.arange(size, device=wave.device)[None]
            start = (draw[:, :1] * self.shift * lengths).long()
            wave = wave.gather(1, torch.where(place < lengths, (place - start) % lengths, place))
        if self.gain > 0:
            # the middle one of 2k - 1 sorted uniform numbers is distributed as Beta(k, k)
            wave = wave * (draw[:, 1:].sort(dim=1).values[:, self.gain - 1 : self.gain] + 0.5)
        return {**batch, "wave": wave}
