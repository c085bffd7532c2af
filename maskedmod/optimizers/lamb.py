"""LAMB: Adam whose step per tensor is scaled to the tensor's norm, for very large batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from maskedmod.core.blocks.optimizer import Optimizer


class Lamb(Optimizer):
    """Layer-wise adaptive moments (You et al., arXiv 1904.00962, algorithm 2), with bias correction; groups without decay
    (biases, norms) get plain Adam steps."""

    sharded = False

    def __init__(
        self,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.01,
        eps: float = 1e-6,
        lr_scale: float = 1.0,
        period: int = 1,
    ) -> None:
        self.betas, self.weight_decay, self.eps = (float(betas[0]), float(betas[1])), weight_decay, eps
        self.lr_scale, self.period = lr_scale, period

    def build(self, param_groups: Sequence[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
        return LambOptimizer(self.groups(param_groups, lr), lr, self.betas, self.eps)


class LambOptimizer(torch.optim.Optimizer):
    """For a decayed tensor w: ``r = m^/(sqrt(v^)+eps) + wd*w; w -= lr * |w|/|r| * r`` with Adam's corrected moments m^ and
    v^. The factor is 1 where a norm is 0."""

    def __init__(self, params: Any, lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-6) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0, "decay": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; ``closure`` is not supported."""
        assert closure is None
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights:
                self._update(group, weights, [p.grad for p in weights if p.grad is not None])

    def _update(self, group: dict[str, Any], weights: list[Tensor], grads: list[Tensor]) -> None:
        first, second = group["betas"]
        states = [self.state[p] for p in weights]
        for state, p in zip(states, weights, strict=True):
            if not state:
                state.update(step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
            state["step"] = int(state["step"]) + 1
        mean, square = [s["exp_avg"] for s in states], [s["exp_avg_sq"] for s in states]
        torch._foreach_lerp_(mean, grads, 1 - first)
        torch._foreach_mul_(square, second)
        torch._foreach_addcmul_(square, grads, grads, 1 - second)
        below = torch._foreach_div(square, [1 - second ** s["step"] for s in states])
        torch._foreach_sqrt_(below)
        torch._foreach_add_(below, group["eps"])
        moves = torch._foreach_div(mean, [1 - first ** s["step"] for s in states])
        torch._foreach_div_(moves, below)
        if group["decay"]:
            torch._foreach_add_(moves, weights, alpha=group["weight_decay"])
            sizes, lengths = torch._foreach_norm(weights), torch._foreach_norm(moves)
            trust = [torch.where((w > 0) & (r > 0), w / r, torch.ones_like(w)) for w, r in zip(sizes, lengths, strict=True)]
            torch._foreach_mul_(moves, trust)
        torch._foreach_add_(weights, moves, alpha=-group["lr"])
