"""Equality of values that hold tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Same keys, equal values."""
    return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)


def equal(a: Any, b: Any) -> bool:
    """Exact equality of tensors (NaN equals NaN), of lists of them, or of plain values."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        return bool(((a == b) | ((a != a) & (b != b))).all())
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


def matches(x: Tensor, part: Tensor, where: Tensor) -> bool:
    """``x`` equals ``part`` in places ``where`` (bool, like part) to 1e-5. Axes of one element are passed over, and an axis of
    x may go on beyond the part's end."""
    x, part, where = x.squeeze(), part.squeeze(), where.squeeze()
    if x.ndim != part.ndim or any(a < b for a, b in zip(x.shape, part.shape, strict=True)) or not x.is_floating_point():
        return False
    here = x[tuple(slice(n) for n in part.shape)]
    return torch.allclose(here[where], part[where].to(here.dtype), atol=1e-5, rtol=1e-5)
