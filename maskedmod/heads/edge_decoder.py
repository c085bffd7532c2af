"""One score for two nodes."""

from __future__ import annotations

import itertools

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
    of the last ``layers`` layers of one node with every one of the other's, through an MLP of ``depth`` linear maps with ReLU,
    inner width ``hidden`` (null: the encoder's) and ``dropout``. ``layers=1`` is the decoder of MaskGAE (Li et al. 2023, section
    4.3). ``symmetric``: the score does not depend on the order of the two nodes; false: layer i of the first node goes with layer
    j of the second alone. ``square``: one more map comes first, as wide as the products (false and true: v1 and v2 of the
    released code, qiaoyu-tan/S2GAE)."""

    reads_hidden = True

    def __init__(
        self,
        spec: Spec,
        layers: int = 2,
        hidden: int | None = None,
        dropout: float = 0.0,
        depth: int = 2,
        symmetric: bool = True,
        square: bool = False,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"head.layers must be 1 or more, not {layers}")
        if depth < 1:
            raise ValueError(f"head.depth must be 1 or more, not {depth}")
        self.symmetric, products = symmetric, layers * layers * spec.width
        widths = [products, *[products] * square, *[hidden or spec.width] * (depth - 1)]
        self.taps = tuple(f"block.{i}" for i in range(-layers, 0))
        maps: list[nn.Module] = []
        for one, other in itertools.pairwise(widths):
            maps += [Linear(one, other), nn.ReLU(), nn.Dropout(dropout)]
        self.mlp = nn.Sequential(*maps, Linear(widths[-1], spec.target))

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[P, target]`` for the pairs of the mask."""
        (first, second), _ = hidden_edges(view.mask)
        layers = torch.stack([view.student.taps[tap] for tap in self.taps], dim=1)
        one, other = layers[first], layers[second]
        products = one[:, :, None] * other[:, None]
        if self.symmetric:
            products = (products + other[:, :, None] * one[:, None]) / 2
        return self.mlp(products.flatten(1))
