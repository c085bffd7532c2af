"""Graph layers against PyTorch Geometric's, sums over neighbours against plain ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from maskedmod.layers.graphs.gat import GatLayer, GatSettings
from maskedmod.layers.graphs.gcn import GcnLayer
from maskedmod.layers.graphs.gin import GinLayer
from maskedmod.layers.graphs.messages import Incoming, incoming, neighbour_sum, softmax
from maskedmod.layers.graphs.parts import NodeRows, Prelu, keep_scale
from maskedmod.layers.graphs.sage import SageLayer

NODES, EDGES, WIDTH, OUT = 30, 90, 12, 8


def graph(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Values and edges, some of them twice, some nodes with none."""
    made = torch.Generator().manual_seed(seed)
    return torch.randn(NODES, WIDTH, generator=made), torch.randint(NODES - 2, (2, EDGES), generator=made)


def same(ours: Tensor, theirs: Tensor, parameters: list[tuple[Tensor, Tensor]]) -> None:
    """Outputs, and gradients of pairs of parameters."""
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    towards = torch.randn_like(ours)
    found = torch.autograd.grad(ours, [a for a, _ in parameters], towards)
    wanted = torch.autograd.grad(theirs, [b for _, b in parameters], towards)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a.reshape(b.shape), b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("sums_first", [False, True])
def test_gat(heads: int, sums_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch_geometric.nn import GATConv

    x, edges = graph()
    x.requires_grad_()
    theirs = GATConv(WIDTH, OUT // heads, heads, add_self_loops=False)
    nn.init.normal_(theirs.bias)
    ours = GatLayer(WIDTH, OUT, GatSettings(heads))
    pairs = [
        (ours.weight, theirs.lin.weight),
        (ours.source, theirs.att_src),
        (ours.target, theirs.att_dst),
        (ours.bias, theirs.bias),
    ]
    for mine, other in pairs:
        mine.data.copy_(other.data)
    monkeypatch.setattr(ours, "_few", lambda x, edges: sums_first)
    same(ours(x, incoming(edges, NODES)), theirs(x, edges), [*pairs, (x, x)])


def test_gin() -> None:
    from torch_geometric.nn import GINConv

    x, edges = graph()
    ours = GinLayer(WIDTH, OUT, OUT, "relu", "none", learn_eps=True)
    assert ours.eps is not None
    ours.eps.data.fill_(0.3)
    theirs = GINConv(nn.Sequential(ours.fc1, nn.ReLU(), ours.fc2), eps=0.3)
    same(ours(x, incoming(edges, NODES)), theirs(x, edges), [(ours.fc1.weight, ours.fc1.weight), (ours.fc2.bias, ours.fc2.bias)])


def test_gcn() -> None:
    from torch_geometric.nn import GCNConv

    x, edges = graph()
    theirs, ours = GCNConv(WIDTH, OUT, add_self_loops=False), GcnLayer(WIDTH, OUT)
    ours.weight.data.copy_(theirs.lin.weight.data)
    edges = torch.cat([edges, edges.flip(0)], dim=1)  # PyG counts ends, which is the same where both directions are there
    same(ours(x, incoming(edges, NODES)), theirs(x, edges), [(ours.weight, theirs.lin.weight), (ours.bias, theirs.bias)])


def test_sage() -> None:
    from torch_geometric.nn import SAGEConv

    x, edges = graph()
    theirs, ours = SAGEConv(WIDTH, OUT), SageLayer(WIDTH, OUT)
    pairs: list[tuple[Any, Any]] = [
        (ours.neighbours.weight, theirs.lin_l.weight),
        (ours.neighbours.bias, theirs.lin_l.bias),
        (ours.own.weight, theirs.lin_r.weight),
    ]
    for mine, other in pairs:
        mine.data.copy_(other.data)
    same(ours(x, incoming(edges, NODES)), theirs(x, edges), pairs)


LAYERS = {
    "gat": lambda: GatLayer(WIDTH, OUT, GatSettings(2, residual=True, norm="layer", activation="prelu")),
    "gin": lambda: GinLayer(WIDTH, OUT, OUT, "prelu", "layer"),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_some_rows_are_those_of_all(kind: str) -> None:
    x, edges = graph()
    layer, rows = LAYERS[kind](), torch.tensor([7, 3, 29, 11])
    some = layer(x, incoming(edges, NODES, rows), rows)
    torch.testing.assert_close(some, layer(x, incoming(edges, NODES))[rows], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
def test_sums_per_head(shared: bool) -> None:
    """One matrix for all heads gives what a loop over heads and edges gives, and so do its gradients."""
    _, edges = graph()
    heads, width = 3, 5
    columns = NODES if shared else NODES * heads
    x = torch.randn(columns, width, dtype=torch.float32, requires_grad=True)
    weight = torch.rand(EDGES, heads, requires_grad=True)
    found = incoming(edges, NODES)
    many, place = found.per_head(heads, shared)
    ours = neighbour_sum(x, many, weight[found.order].flatten()[place])
    ours = ours.unflatten(0, (heads, NODES)).transpose(0, 1) if shared else ours.unflatten(0, (NODES, heads))
    plain = torch.zeros(NODES, heads, width)
    for edge in range(EDGES):
        for head in range(heads):
            source = edges[0, edge] if shared else edges[0, edge] * heads + head
            plain[edges[1, edge], head] += weight[edge, head] * x[source]
    same(ours, plain, [(x, x), (weight, weight)])


def test_softmax_sums_to_one_where_there_are_edges() -> None:
    _, edges = graph()
    found = incoming(edges, NODES)
    share = softmax(torch.randn(EDGES, 2) * 100, found)
    total = torch.zeros(NODES, 2).index_add(0, found.row, share)
    torch.testing.assert_close(total, (found.degree() > 0).float()[:, None].expand(-1, 2))


def test_no_edges() -> None:
    empty = incoming(torch.zeros(2, 0, dtype=torch.long), NODES)
    x = torch.randn(NODES, WIDTH, requires_grad=True)
    layer = GatLayer(WIDTH, OUT, GatSettings(2))
    out = layer(x, empty)
    torch.testing.assert_close(out, layer.bias.expand(NODES, -1))
    out.sum().backward()
    assert isinstance(empty, Incoming) and x.grad is not None and not x.grad.any()


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_sparse_rows_with_tokens(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The product of words and tokens is that of the dense rows with the same entries dropped."""
    x = (torch.rand(NODES, 200) < 0.04).float() * torch.rand(NODES, 200)
    hidden, token = torch.rand(NODES) < 0.5, torch.randn(200, requires_grad=True)
    weight = torch.randn(OUT, 200, requires_grad=True)
    factors = keep_scale((NODES, 200), rate, x.device)
    row, column = x.nonzero().unbind(1)
    drawn = iter([factors[row, column][~hidden[row]], factors[hidden]])
    monkeypatch.setattr("maskedmod.layers.graphs.parts.keep_scale", lambda *_: next(drawn))
    rows = NodeRows(x, hidden, token)
    same(rows.project(weight, rate, True), (rows.dense() * factors) @ weight.t(), [(token, token), (weight, weight)])


def test_dropout_keeps_the_mean() -> None:
    factors = keep_scale((400_000,), 0.2, torch.device("cpu"))
    assert abs(float((factors == 0).float().mean()) - 0.2) < 0.004
    assert factors.unique().tolist() == pytest.approx([0.0, 1.25], abs=1e-4)


def test_prelu_is_that_of_torch_with_its_derivatives() -> None:
    torch.manual_seed(0)
    ours, theirs = Prelu().double(), nn.PReLU().double()
    results = []
    for layer in (ours, theirs):
        x = torch.linspace(-2, 2, 21, dtype=torch.float64).requires_grad_()  # 0 among them
        layer(x).pow(2).sum().backward()
        results.append([layer(x).detach(), x.grad, layer.weight.grad])
    for mine, reference in zip(*results, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-12, atol=0)
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ours, x) and torch.autograd.gradgradcheck(ours, x)
