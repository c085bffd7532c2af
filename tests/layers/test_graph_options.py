"""Options of graph layers that released code has: dropped self-loops, products as scores, scaled biases, residuals, bare ends."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.layers.graphs import parts
from maskedmod.layers.graphs.gat import GatLayer, GatSettings
from maskedmod.layers.graphs.gcn import GcnLayer
from maskedmod.layers.graphs.messages import incoming
from maskedmod.layers.graphs.parts import make_shortcut, thinned, through

NODES = 6
EDGES = torch.tensor([[0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0, 0, 1, 2, 3, 4, 5]])


def ring() -> Tokens:
    """A directed ring whose nodes have edges to themselves, the last six."""
    layout = Layout(cu_seqlens=torch.tensor([0, NODES], dtype=torch.int32), max_seqlen=NODES)
    return Tokens(torch.randn(NODES, 4), torch.zeros(NODES, 1), layout, relation=Relation(EDGES))


@pytest.mark.parametrize(("self_loops", "times"), [("kept", [1, 1]), ("added", [2, 1])])
def test_self_loops_of_a_thinned_graph(self_loops: parts.SelfLoops, times: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the loops of nodes 0 and 1 that of 0 was not dropped."""
    kept = torch.tensor([True, False] * 6)
    monkeypatch.setattr(parts, "drawn_edges", lambda count, rate, device: kept.clone())
    edges = parts.edge_index_of(thinned(ring(), 0.5, self_loops))
    loops = edges[0, edges[0] == edges[1]]
    assert [int((loops == node).sum()) for node in (0, 1)] == times
    others = {tuple(edge) for edge in edges[:, edges[0] != edges[1]].t().tolist()}
    assert others == {(0, 1), (2, 3), (4, 5)}


def test_edges_are_dropped_at_their_rate() -> None:
    kept = parts.drawn_edges(20_000, 0.3, torch.device("cpu"))
    assert kept.float().mean().item() == pytest.approx(0.7, abs=0.02)


def dense(edges: Tensor) -> Tensor:
    """``[target, source]``: number of edges."""
    out = torch.zeros(NODES, NODES)
    out.index_put_((edges[1], edges[0]), torch.ones(edges.shape[1]), accumulate=True)
    return out


def test_scores_that_are_products() -> None:
    x, heads = torch.randn(NODES, 4), 2
    layer = GatLayer(4, 6, GatSettings(heads, score="dot"))
    assert set(dict(layer.named_parameters())) == {"weight"}
    mapped = (x @ layer.weight.t()).unflatten(1, (heads, 3))
    scores = torch.einsum("ihd,jhd->hij", mapped, mapped) / 3**0.5
    share = scores.masked_fill(dense(EDGES) == 0, -torch.inf).softmax(-1)
    wanted = torch.einsum("hij,jhd->ihd", share, mapped).flatten(1)
    torch.testing.assert_close(layer(x, incoming(EDGES, NODES)), wanted)
    rows = torch.tensor([1, 4])
    torch.testing.assert_close(layer(x, incoming(EDGES, NODES, rows), rows), wanted[rows])


def test_a_bias_that_is_scaled_with_the_sum() -> None:
    """Sources by the edges that leave them, targets by those that end there: no ring, so that both differ."""
    edges, x = torch.cat([EDGES, torch.tensor([[0, 0, 3], [2, 3, 1]])], dim=1), torch.randn(NODES, 4)
    layer = GcnLayer(4, 4, residual=True, bias="scaled")
    nn.init.normal_(layer.bias)
    joined = dense(edges)
    leave, end = joined.sum(0).rsqrt(), joined.sum(1).rsqrt()
    wanted = (joined @ (x * leave[:, None]) @ layer.weight.t() + layer.bias) * end[:, None] + x
    torch.testing.assert_close(layer(x, incoming(edges, NODES)), wanted)
    assert not torch.allclose(GcnLayer(4, 4, residual=True)(x, incoming(edges, NODES)), wanted)


def test_shortcuts() -> None:
    assert make_shortcut(4, 4, False) is None and make_shortcut(4, 4, True, same_width=False) is None
    assert isinstance(make_shortcut(4, 4, True), nn.Identity)
    assert isinstance(make_shortcut(4, 5, True, same_width=False), nn.Linear)


def test_outputs_are_dropped_but_the_last() -> None:
    class Same(nn.Module):
        def forward(self, x: Tensor, edges: object) -> Tensor:
            return x + 1

    x, edges = torch.zeros(200, 10), incoming(torch.zeros(2, 0, dtype=torch.long), 200)
    out, taps = through([Same(), Same()], x, edges, ("block.0", "block.1"), drop=0.5)
    assert (taps["block.0"] == 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert (out > 0).all() and torch.equal(out, taps["block.1"])
