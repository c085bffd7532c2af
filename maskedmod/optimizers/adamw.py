"""AdamW (Loshchilov and Hutter, arXiv 1711.05101), torch's own, fused where the device supports it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from maskedmod.core.blocks.optimizer import Optimizer


class Adamw(Optimizer):
    """AdamW with decoupled weight decay on matrices alone."""

    def __init__(
        self,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.05,
        eps: float = 1e-8,
        lr_scale: float = 1.0,
        period: int = 1,
    ) -> None:
        self.betas, self.weight_decay, self.eps = (float(betas[0]), float(betas[1])), weight_decay, eps
        self.lr_scale, self.period = lr_scale, period

    def build(self, param_groups: Sequence[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
        """One fused kernel for all parameters on CPU and CUDA, the foreach form elsewhere."""
        kinds = {parameter.device.type for group in param_groups for parameter in group["params"]}
        fused = True if kinds <= {"cpu", "cuda"} else None
        return torch.optim.AdamW(self.groups(param_groups, lr), lr=lr, betas=self.betas, eps=self.eps, fused=fused)
