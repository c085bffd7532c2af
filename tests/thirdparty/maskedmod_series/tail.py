"""The end of every series, to be told from its beginning."""

from __future__ import annotations

import torch

from maskedmod.core.masking import from_masked
from maskedmod.masks import Mask


class Tail(Mask):
    """Hide the last ``share`` of the patches, at least one, and never all."""

    def __init__(self, spec, share: float = 0.5) -> None:
        super().__init__()
        self.share = share

    def forward(self, rows, ctx):
        """-> MaskSet with the same places in every row."""
        samples, patches = rows.shape[:2]
        hidden = min(max(1, round(self.share * patches)), patches - 1)
        masked = torch.arange(patches, device=rows.device).expand(samples, -1) >= patches - hidden
        return from_masked(masked, hidden, hidden, self.per_sample)
