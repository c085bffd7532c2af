"""Which sample a row is of, and under which mask: for losses that compare samples."""

from __future__ import annotations

import torch
from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step


class Instance(Target):
    """Number of the sample and number of the mask of every row; for ``region=pooled``. Heads give vectors of the
    encoder's width."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.width = spec.width

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> int64 ``[M, 2]``."""
        if where.index is not None:
            raise ValueError("target=instance describes samples; set region=pooled")
        here = step.views[view]
        samples, masks = here.tokens.batch, here.mask.per_sample
        row = torch.arange(samples * masks, device=here.mask.role.device)
        if here.mask.packed:  # the batch once for every mask
            return torch.stack([row % samples, row // samples], dim=1)
        return torch.stack([row // masks, row % masks], dim=1)
