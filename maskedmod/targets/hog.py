"""Histograms of oriented gradients (MaskFeat)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.core.tokens import take


class Hog(Target):
    """Gradient histograms per channel and cell, L2-normalised over the bins (Wei et al. 2022, section 3.2; Dalal and Triggs).

    Taken on the normalised signal of a two-axis modality. ``bins`` 9 (unsigned angles), ``cell`` 8 pixels; a token owns
    (patch / cell)^2 cells; values are ordered (channel, bin, cell row, cell column). ``gaussian``: side of a Gaussian window
    tiled over the signal that weights magnitudes, 0 = none.
    """

    def __init__(self, spec: Spec, bins: int = 9, cell: int = 8, gaussian: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if len(spec.patch) != 2 or any(p % cell for p in spec.patch):
            raise ValueError(f"target=hog needs patches on two axes divisible by cell {cell}, not patch {spec.patch}")
        self.bins, self.cell, self.gaussian, self.eps = bins, cell, gaussian, eps
        self.cells = (spec.patch[0] // cell, spec.patch[1] // cell)
        self.width = bins * spec.channels * self.cells[0] * self.cells[1]

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> ``[M, J, T, channels * bins * cells]`` float32."""
        if where.index is None:
            raise ValueError("target=hog describes tokens; region=pooled has none")
        tokens = step.views[view].tokens
        signal = step.modality.untokenize(tokens.values.float(), tokens)
        return take(self.per_token(signal), where.index)

    @torch.no_grad()
    def per_token(self, signal: Tensor) -> Tensor:
        """Signal ``[B, C, H, W]`` -> ``[B, N, C * bins * cells]``."""
        hog = self.histogram(signal)
        a, b = self.cells
        parts = hog.unflatten(-1, (-1, b)).unflatten(3, (-1, a))  # [B, C, bins, h, a, w, b]
        return parts.permute(0, 3, 5, 1, 2, 4, 6).flatten(3).flatten(1, 2)

    def histogram(self, signal: Tensor) -> Tensor:
        """``[B, C, H, W]`` -> ``[B, C, bins, H / cell, W / cell]``."""
        return self.bin(*gradients(signal))

    def bin(self, gx: Tensor, gy: Tensor) -> Tensor:
        """Magnitudes of gradients ``[B, C, H, W]`` summed into (bin, cell), each pixel into one bin."""
        magnitude = torch.stack([gx, gy], dim=-1).norm(dim=-1)
        if self.gaussian:
            magnitude = magnitude * _gaussian(self.gaussian, magnitude)
        angle = torch.atan2(gx, gy) / math.pi * self.bins
        number = angle.floor().long() % self.bins
        out = gx.new_zeros(*gx.shape[:2], self.bins, *gx.shape[2:])
        out.scatter_(2, number[:, :, None], magnitude[:, :, None])
        out = out.unflatten(-1, (-1, self.cell)).unflatten(3, (-1, self.cell)).sum((4, 6))
        return F.normalize(out, dim=2, eps=self.eps)


def gradients(signal: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel gradients (gx, gy) of every channel, reflected at the border."""
    c = signal.shape[1]
    kernel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]], device=signal.device)
    padded = F.pad(signal, (1, 1, 1, 1), mode="reflect")
    gx = F.conv2d(padded, kernel.expand(c, 1, 3, 3).contiguous(), groups=c)
    gy = F.conv2d(padded, kernel.T.expand(c, 1, 3, 3).contiguous(), groups=c)
    return gx, gy


def _gaussian(side: int, like: Tensor) -> Tensor:
    """Normalised Gaussian window (deviation side/2) tiled over the last two axes."""
    at = torch.arange(side, device=like.device) - (side - 1) / 2
    line = torch.exp(-0.5 * (at / (side // 2)) ** 2)
    window = line[:, None] * line[None]
    window = window / window.sum()
    h, w = like.shape[-2:]
    return window.repeat(-(-h // side), -(-w // side))[:h, :w]
