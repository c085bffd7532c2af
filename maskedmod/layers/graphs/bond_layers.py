"""The layers of message passing that read the ids of bonds, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from maskedmod.layers.graphs.bond_gat import BondGat
from maskedmod.layers.graphs.bond_gin import BondGin
from maskedmod.layers.graphs.bond_mean import BondMean

BondLayer = Literal["gin", "gcn", "gat", "graphsage"]


def make_bond_layer(kind: BondLayer, width: int, out: int, sizes: Sequence[int], heads: int = 2) -> nn.Module:
    """``[L, width]`` and a ``Neighbourhood`` -> ``[L, out]``. ``heads``: of ``gat`` alone."""
    if kind == "gat":
        return BondGat(width, out, sizes, heads)
    return BondGin(width, out, sizes) if kind == "gin" else BondMean(width, out, sizes, normed=kind == "graphsage")
