"""LARS: SGD with momentum and a step per tensor that is a fixed share of the tensor's norm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from maskedmod.core.blocks.optimizer import Optimizer


class Lars(Optimizer):
    """Layer-wise adaptive rate scaling (You et al., arXiv 1708.03888, algorithm 1), as linear probes of MAE use it:
    groups without decay (biases, norms) get plain momentum steps."""

    sharded = False

    def __init__(
        self,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        lr_scale: float = 1.0,
        period: int = 1,
    ) -> None:
        self.momentum, self.weight_decay, self.trust = momentum, weight_decay, trust
        self.lr_scale, self.period = lr_scale, period

    def build(self, param_groups: Sequence[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
        return LarsOptimizer(self.groups(param_groups, lr), lr, self.momentum, self.trust)


class LarsOptimizer(torch.optim.Optimizer):
    """For a decayed tensor w with gradient g: ``d = g + wd*w; d *= trust*|w|/|d|; v = momentum*v + d; w -= lr*v``.
    The factor is 1 where a norm is 0."""

    def __init__(self, params: Any, lr: float, momentum: float = 0.9, trust: float = 0.001) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "trust": trust, "weight_decay": 0.0, "decay": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; ``closure`` is not supported."""
        assert closure is None
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            moves: list[Tensor] = [p.grad for p in weights if p.grad is not None]
            if group["decay"]:
                moves = list(torch._foreach_add(moves, weights, alpha=group["weight_decay"]))
                sizes, lengths = torch._foreach_norm(weights), torch._foreach_norm(moves)
                trust = [
                    torch.where((w > 0) & (d > 0), group["trust"] * w / d, torch.ones_like(w))
                    for w, d in zip(sizes, lengths, strict=True)
                ]
                torch._foreach_mul_(moves, trust)
            velocity = [self.state[p].setdefault("momentum_buffer", torch.zeros_like(p)) for p in weights]
            torch._foreach_mul_(velocity, group["momentum"])
            torch._foreach_add_(velocity, moves)
            torch._foreach_add_(weights, velocity, alpha=-group["lr"])
