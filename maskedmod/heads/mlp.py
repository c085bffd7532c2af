"""Dense layers per token: MLM heads, projections."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.core.blocks.head import Head, encoded_at
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.layers.block import make_norm
from maskedmod.layers.init import Init, initialise
from maskedmod.layers.linear import Linear


class Mlp(Head):
    """``layers`` linear maps with an activation and optional norm between them (BERT's LM head: layers 2, norm true).

    ``hidden``: width between (default D). ``dropout``: after every activation. ``end``: ``relu``, predictions are 0 or more.
    """

    reads_hidden = True

    def __init__(
        self,
        spec: Spec,
        layers: int = 2,
        hidden: int | None = None,
        activation: Literal["gelu", "relu"] = "gelu",
        norm: bool = True,
        eps: float = 1e-6,
        init: Init = "xavier",
        init_std: float = 0.02,
        dropout: float = 0.0,
        end: Literal["none", "relu"] = "none",
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"mlp.layers must be at least 1, not {layers}")
        self.dropout, self.end = dropout, end
        inner = hidden or spec.width
        parts: list[nn.Module] = []
        width = spec.width
        for _ in range(layers - 1):
            parts += [Linear(width, inner), nn.GELU() if activation == "gelu" else nn.ReLU()]
            if norm:
                parts.append(make_norm("layer", inner, eps))
            width = inner
        self.layers = nn.Sequential(*parts, Linear(width, spec.target))
        initialise(self, init, init_std)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[M, J, T, target]``, packed ``[T, target]``, pooled ``[M, target]``."""
        x = encoded_at(view, where)
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, nn.GELU | nn.ReLU):
                x = F.dropout(x, self.dropout, self.training)
        return F.relu(x) if self.end == "relu" else x
