"""Augmentations of images. One block per file; the file name is the block's name in a recipe."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from maskedmod.core.context import Context


class Augment(nn.Module, ABC):
    """Base of augmentations, built as ``block(**arguments)``. It brings a padded batch to one size on the device."""

    @abstractmethod
    def forward(self, image: Tensor, size: Tensor, out: tuple[int, int], ctx: Context) -> Tensor:
        """``image`` ``[B, C, Hmax, Wmax]`` uint8 or float, ``size`` int64 ``[B, 2]`` its filled part -> float32 ``[B, C, *out]``
        on the scale of the input. Random numbers come from ``ctx.generator`` alone."""
