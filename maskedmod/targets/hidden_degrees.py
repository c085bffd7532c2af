"""How many hidden edges a node has."""

from __future__ import annotations

import torch
from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.layers.graphs.hidden_edges import EdgeMask, hidden_edges


class HiddenDegrees(Target):
    """Number of the hidden edges that end in a node (MaskGAE, Li et al. 2023, section 4.4); for ``region: all``. ValueError for
    pooled regions and masks that hide no edges."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.width = 1

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> float ``[T, 1]``."""
        mask = step.views[view].mask
        (first, second), joined = hidden_edges(mask)
        if where.index is None:
            raise ValueError("target=hidden_degrees describes nodes: say region=all")
        ends = second[joined]
        if isinstance(mask, EdgeMask) and not mask.directed:
            ends = torch.cat([first[joined], ends])
        return torch.bincount(ends, minlength=len(mask.role)).float()[where.index, None]
