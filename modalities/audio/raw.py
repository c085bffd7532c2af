"""Features of a spectrogram without any learning."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def band_energies(fbank: Tensor, frames: Tensor | None, parts: int = 4, bands: int = 40) -> Tensor:
    """Spectrogram ``[B, T, F]``, real frames ``[B]`` (None: all) -> its mean in ``parts`` equal stretches of each clip and
    ``bands`` bands of frequency, ``[B, parts * bands]``. A clip of fewer frames than parts repeats the nearest frame."""
    b, length, _ = fbank.shape
    count = torch.full((b,), length, device=fbank.device) if frames is None else frames
    edges = torch.arange(parts + 1, device=fbank.device) * count[:, None] / parts
    first = edges[:, :-1].floor().minimum((count[:, None] - 1).clamp(min=0).float())
    last = edges[:, 1:].floor().maximum(first + 1)
    at = torch.arange(length, device=fbank.device)
    inside = ((at >= first[..., None]) & (at < last[..., None])).float()
    mean = inside @ F.adaptive_avg_pool1d(fbank.float(), bands) / inside.sum(2, keepdim=True)
    return mean.flatten(1)
