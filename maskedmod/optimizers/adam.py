"""Adam (Kingma and Ba, arXiv 1412.6980), torch's own, with weight decay as a term of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from maskedmod.core.blocks.optimizer import Optimizer


class Adam(Optimizer):
    """Adam; ``weight_decay`` adds ``weight_decay * w`` to the gradient, before the moments (unlike AdamW). ``decay_all``: of all
    parameters, biases and norms too, as ``torch.optim.Adam(model.parameters())`` has it; else of matrices alone."""

    def __init__(
        self,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        eps: float = 1e-8,
        decay_all: bool = True,
        lr_scale: float = 1.0,
        period: int = 1,
    ) -> None:
        self.betas, self.weight_decay, self.eps = (float(betas[0]), float(betas[1])), weight_decay, eps
        self.decay_all, self.lr_scale, self.period = decay_all, lr_scale, period

    def build(self, param_groups: Sequence[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
        """One fused kernel for all parameters on CPU and CUDA, the foreach form elsewhere."""
        kinds = {parameter.device.type for group in param_groups for parameter in group["params"]}
        fused = True if kinds <= {"cpu", "cuda"} else None
        if self.decay_all:
            param_groups = [{**group, "decay": True} for group in param_groups]
        return torch.optim.Adam(self.groups(param_groups, lr), lr=lr, betas=self.betas, eps=self.eps, fused=fused)
