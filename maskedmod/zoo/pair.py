"""Two models side by side: ours and the original."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Stack:
    """Blocks of both sides, one to one. ``order`` int64 ``[B, n]``: where our tokens stand among theirs, where they differ."""

    name: str
    ours: Sequence[nn.Module]
    theirs: Sequence[nn.Module]
    order: Tensor | None = None


@dataclass(frozen=True)
class Pair:
    """Two models and how to run them on the same input; both give tensors of the same names and shapes."""

    stacks: list[Stack]
    ours: Callable[[], dict[str, Tensor]]
    theirs: Callable[[], dict[str, Tensor]]
