"""LARS and LAMB against their formulas written out per tensor; AdamW's groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.optimizer import Optimizer
from maskedmod.optimizers.adamw import Adamw
from maskedmod.optimizers.lamb import Lamb
from maskedmod.optimizers.lars import Lars

LR = 0.1


def run(block: Optimizer, steps: int = 4) -> tuple[list[Tensor], list[Tensor], list[list[Tensor]]]:
    """Steps with random gradients -> first values, last values, gradients, for a decayed matrix, a bias, a zero matrix."""
    torch.manual_seed(0)
    params = [nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(4)), nn.Parameter(torch.zeros(2, 2))]
    start = [p.detach().clone() for p in params]
    groups: list[dict[str, Any]] = [{"params": [params[0], params[2]], "decay": True}, {"params": [params[1]], "decay": False}]
    optimizer = block.build(groups, LR)
    grads = [[torch.randn_like(p) for p in params] for _ in range(steps)]
    for each in grads:
        for p, grad in zip(params, each, strict=True):
            p.grad = grad.clone()
        optimizer.step()
    return start, [p.detach() for p in params], grads


def check(block: Optimizer, formula: Callable[[Tensor, list[Tensor], bool], Tensor]) -> None:
    start, end, grads = run(block)
    for i, decay in enumerate((True, False, True)):
        torch.testing.assert_close(end[i], formula(start[i], [each[i] for each in grads], decay))


def test_lars() -> None:
    def formula(w: Tensor, grads: list[Tensor], decay: bool) -> Tensor:
        velocity = torch.zeros_like(w)
        for g in grads:
            if decay:
                d = g + 0.1 * w
                g = d * (0.02 * w.norm() / d.norm() if w.norm() > 0 and d.norm() > 0 else 1.0)
            velocity = 0.9 * velocity + g
            w = w - LR * velocity
        return w

    check(Lars(momentum=0.9, weight_decay=0.1, trust=0.02), formula)


def test_lamb() -> None:
    def formula(w: Tensor, grads: list[Tensor], decay: bool) -> Tensor:
        m = v = torch.zeros_like(w)
        for t, g in enumerate(grads, 1):
            m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
            r = (m / (1 - 0.9**t)) / ((v / (1 - 0.99**t)).sqrt() + 1e-6)
            if decay:
                r = r + 0.05 * w
                r = r * (w.norm() / r.norm() if w.norm() > 0 and r.norm() > 0 else 1.0)
            w = w - LR * r
        return w

    check(Lamb(betas=(0.9, 0.99), weight_decay=0.05), formula)


def test_adamw_decays_matrices_alone_and_scales_groups() -> None:
    matrix, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    groups: list[dict[str, Any]] = [{"params": [matrix], "decay": True, "lr_scale": 0.5}, {"params": [bias], "decay": False}]
    optimizer = Adamw(weight_decay=0.2, lr_scale=2.0).build(groups, LR)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.0]
    assert [group["lr"] for group in optimizer.param_groups] == [LR, 2 * LR]
    assert optimizer.param_groups[0]["fused"]
