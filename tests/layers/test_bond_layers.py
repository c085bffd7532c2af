"""Layers that read ids of bonds, against their formulas written with dense matrices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from maskedmod.core.tokens import Relation
from maskedmod.layers.graphs.bond_gat import BondGat
from maskedmod.layers.graphs.bond_layers import make_bond_layer
from maskedmod.layers.graphs.bond_mean import BondMean
from maskedmod.layers.graphs.bond_neighbours import Neighbourhood

SIZES, NODES, WIDTH, OUT = (4, 3), 7, 6, 5


def molecule() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Edges, their ids, adjacency with loops ``[target, source]``, and the two ids of every pair ``[target, source, 2]``."""
    bonds = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 4], [4, 0], [4, 5]])
    ids = torch.stack([torch.randint(SIZES[0], (6,)), torch.randint(SIZES[1], (6,))], dim=1)
    edges, ids = torch.cat([bonds, bonds.flip(1)]).T, torch.cat([ids, ids])
    near, of = torch.eye(NODES), torch.zeros(NODES, NODES, 2, dtype=torch.long)
    near[edges[1], edges[0]] = 1.0
    of[..., 0] = SIZES[0]
    of[edges[1], edges[0]] = ids
    return edges, ids, near, of


@pytest.mark.parametrize("kind", ["gcn", "graphsage"])
def test_means(kind: str) -> None:
    edges, ids, near, of = molecule()
    layer, x = make_bond_layer(kind, WIDTH, OUT, SIZES), torch.randn(NODES, WIDTH)  # type: ignore[arg-type]
    assert isinstance(layer, BondMean)
    message = layer.linear(x)[None] + layer.tables[0][of[..., 0]] + layer.tables[1][of[..., 1]]
    degree = near.sum(1)
    share = near / degree[:, None] if kind == "graphsage" else near * torch.outer(degree, degree).rsqrt()
    wanted = (share[..., None] * message).sum(1)
    wanted = wanted / wanted.norm(dim=1, keepdim=True) if kind == "graphsage" else wanted
    torch.testing.assert_close(layer(x, Neighbourhood.of(Relation(edges, ids), NODES, SIZES)), wanted)


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_attention(heads: int) -> None:
    edges, ids, near, of = molecule()
    layer, x = make_bond_layer("gat", WIDTH, OUT, SIZES, heads), torch.randn(NODES, WIDTH)
    assert isinstance(layer, BondGat)
    own = layer.linear(x).unflatten(1, (heads, OUT))
    bonds = (layer.tables[0][of[..., 0]] + layer.tables[1][of[..., 1]]).unflatten(-1, (heads, OUT))
    message = own[None] + bonds
    logits = F.leaky_relu((own * layer.target).sum(-1)[:, None] + (message * layer.source).sum(-1), 0.2)
    share = logits.masked_fill(near[..., None] == 0, -torch.inf).softmax(1)
    wanted = (share[..., None] * message).sum(1).mean(1) + layer.bias
    found = layer(x, Neighbourhood.of(Relation(edges, ids), NODES, SIZES))
    torch.testing.assert_close(found, wanted)
    gradients = [torch.autograd.grad(out.square().sum(), list(layer.parameters())) for out in (found, wanted)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
