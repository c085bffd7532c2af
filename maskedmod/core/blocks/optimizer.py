"""What every optimiser block promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch


class Optimizer(ABC):
    """Base of optimiser blocks.

    ``weight_decay`` acts on groups with ``decay: True`` alone; ``lr_scale`` multiplies the run's learning rate; ``period``: the
    optimiser acts at every ``period``-th step (critics, alternating games). ``sharded``: works on parameters cut up by FSDP;
    one that takes norms of whole tensors does not.
    """

    weight_decay: float = 0.0
    lr_scale: float = 1.0
    period: int = 1
    sharded: bool = True

    @abstractmethod
    def build(self, param_groups: Sequence[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
        """Optimiser over groups ``{params, names, decay, lr_scale?}`` as ``model.param_groups()`` gives them."""

    def groups(self, param_groups: Sequence[dict[str, Any]], lr: float) -> list[dict[str, Any]]:
        """Groups for a torch optimiser; ``decay`` and ``lr_scale`` stay in them, for the schedules to read."""
        made = []
        for group in param_groups:
            scale = self.lr_scale * group.get("lr_scale", 1.0)
            decay = bool(group.get("decay", True))
            weight_decay = self.weight_decay if decay else 0.0
            made.append(
                {"params": group["params"], "lr": lr * scale, "lr_scale": scale, "decay": decay, "weight_decay": weight_decay}
            )
        return made
