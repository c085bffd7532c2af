"""Initial values of weights, as papers state them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from torch import nn

Init = Literal["xavier", "trunc_normal"]


def initialise(module: nn.Module, how: Init, std: float = 0.02) -> None:
    """``xavier``: uniform on every linear (MAE, section A.1). ``trunc_normal``: deviation ``std``, cut at 2 deviations (BEiT,
    I-JEPA). Biases 0, norms 1 and 0."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            if how == "xavier":
                nn.init.xavier_uniform_(part.weight)
            else:
                nn.init.trunc_normal_(part.weight, std=std, a=-2 * std, b=2 * std)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def rescale_by_depth(blocks: Iterable[nn.Module]) -> None:
    """Divide the output weights of block l (from 1) by sqrt(2 l) (BEiT, section 2.5)."""
    for depth, block in enumerate(blocks, start=1):
        block.get_submodule("attn.proj").weight.data.div_(math.sqrt(2.0 * depth))  # type: ignore[operator, union-attr]
        block.get_submodule("mlp.fc2").weight.data.div_(math.sqrt(2.0 * depth))  # type: ignore[operator, union-attr]
