"""Dense layers per token: MLM heads, projections."""

from __future__ import annotations

from typing import Literal

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

    ``hidden``: width between (default D).
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
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"mlp.layers must be at least 1, not {layers}")
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
        return self.layers(encoded_at(view, where))
