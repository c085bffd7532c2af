"""``x W^T + b`` on the CPU at the speed of the core: one layer for every large map of a Transformer."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# oneDNN and torch keep what they compiled for a shape, up to 9 MB each and 1,024 of them: gigabytes where every batch has
# another number of rows. Both read their limit when they compile for the first time.
for _limit in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_limit, "48")

LEAST = 256
"""Rows below which starting oneDNN costs more than it gains (10 us)."""

AGAIN = 32
"""oneDNN compiles for every number of rows that it has not met (2 to 4 ms). Dense batches have a multiple of this, and have it
again; ragged ones nearly always another, and are filled up with rows of zeros to one of few numbers."""

LARGE = 5e8
"""Multiplications from which even a number of rows that comes once is worth compiling for."""


@cache
def blas_is_slow() -> bool:
    """Whether float32 products of torch (MKL) leave half of the core idle: MKL runs AVX2 code on AMD processors that have
    AVX-512 (measured on Zen 5: 105 against 240 GFLOP/s a core). A property of the machine, never a timing: a resumed run takes
    the same way and rounds alike."""
    if not torch.backends.mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return "AuthenticAMD" in file.read(4096)
    except OSError:
        return False


class Linear(nn.Linear):
    """``nn.Linear``, and the same numbers to rounding, through oneDNN where that is the faster one."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x ``[..., K]``, weight ``[N, K]``, bias ``[N]`` -> ``[..., N]``."""
    if _through_onednn(x, weight):
        flat = x.reshape(-1, x.shape[-1])
        more = _filled(len(flat), weight.numel()) - len(flat)
        out: Tensor = _OneDnn.apply(F.pad(flat, (0, 0, 0, more)) if more else flat, weight, bias)  # type: ignore[no-untyped-call]
        out = out[: len(flat)] if more else out
        return out.unflatten(0, x.shape[:-1]) if x.ndim != 2 else out
    return F.linear(x, weight, bias)


def _through_onednn(x: Tensor, weight: Tensor) -> bool:
    if torch.compiler.is_compiling():  # before all else: the compiler cannot follow what comes next, and would ask outside of it
        return False
    plain = x.dtype == weight.dtype == torch.float32 and x.device.type == weight.device.type == "cpu"
    if not plain or not blas_is_slow() or x.numel() < LEAST * max(1, x.shape[-1]):
        return False
    return type(x) in _PLAIN and type(weight) in _PLAIN and not torch.is_autocast_enabled("cpu")


def _filled(rows: int, weights: int) -> int:
    """Number of rows that a ragged product is filled up to: four of them between a power of two and the next."""
    if rows % AGAIN == 0 or rows * weights >= LARGE:
        return rows
    step = max(AGAIN, 1 << (rows.bit_length() - 3))
    return -(-rows // step) * step


_PLAIN = (Tensor, nn.Parameter)


class _OneDnn(torch.autograd.Function):
    """Product and gradients; the gradients of the gradients are left to the usual products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (grad,) = grads
        x, weight = ctx.saved_tensors
        twice = torch.is_grad_enabled()
        wants_x, wants_weight, _ = ctx.needs_input_grad
        of_x = of_weight = None
        if wants_x:
            of_x = grad @ weight if twice else _product(grad, weight.t(), None)
        if wants_weight:
            of_weight = grad.t() @ x if twice else _product(grad.t(), x.t(), None)
        return of_x, of_weight, grad.sum(0) if ctx.biased and ctx.needs_input_grad[2] else None


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x ``[M, K]``, weight ``[N, K]``, -> ``[M, N]``."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(weight), bias, "none", [], "")
    return out


def _dense(x: Tensor) -> Tensor:
    """A copy of what has gaps or repeats in memory: for some of those oneDNN has its reference code alone, 1000 times slower."""
    return x if x.is_contiguous() or x.t().is_contiguous() else x.contiguous()
