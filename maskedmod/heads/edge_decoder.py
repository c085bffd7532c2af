"""One score for two nodes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.layers.graphs.hidden_edges import hidden_edges
from maskedmod.layers.linear import Linear


class EdgeDecoder(Head):
    """Cross-correlation decoder (MGAE, Tan et al. 2023, section 3.3): the products of the two nodes' representations, every one
    of the last ``layers`` layers of one node with every one of the other's, through an MLP with one hidden layer of width
    ``hidden`` (null: the encoder's) and ``dropout``. ``layers=1`` is the decoder of MaskGAE (Li et al. 2023, section 4.3). The
    score does not depend on the order of the two nodes."""

    reads_hidden = True

    def __init__(self, spec: Spec, layers: int = 2, hidden: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"head.layers must be 1 or more, not {layers}")
        inner = hidden or spec.width
        self.taps = tuple(f"block.{i}" for i in range(-layers, 0))
        self.mlp = nn.Sequential(
            Linear(layers * layers * spec.width, inner), nn.ReLU(), nn.Dropout(dropout), Linear(inner, spec.target)
        )

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[P, target]`` for the pairs of the mask."""
        (first, second), _ = hidden_edges(view.mask)
        layers = torch.stack([view.student.taps[tap] for tap in self.taps], dim=1)
        one, other = layers[first], layers[second]
        products = one[:, :, None] * other[:, None] + other[:, :, None] * one[:, None]
        return self.mlp(products.flatten(1) / 2)
