"""Edges along shortest paths, and heads that share what the encoder has for pairs of nodes."""

from __future__ import annotations

import networkx as nx
import pytest
import torch

from maskedmod.core.tokens import Layout, Relation
from maskedmod.layers.graphs.path_edges import PathEdges, edges_along
from maskedmod.layers.graphs.transformer import GraphBlocks, path_lengths
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve


def two_graphs() -> tuple[Layout, torch.Tensor]:
    """A ring of seven with a tail and a loop, and a path of three beside a node alone."""
    pairs = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 0), (2, 7), (8, 9), (9, 10)]
    edges = torch.tensor([*pairs, *[(b, a) for a, b in pairs], (4, 4)]).t()
    return Layout(cu_seqlens=torch.tensor([0, 8, 12], dtype=torch.int32), max_seqlen=8), edges


def test_paths_are_as_short_as_they_can_be_and_lead_where_they_should() -> None:
    layout, edges = two_graphs()
    some = torch.arange(2)
    apart = path_lengths(edges, layout, 20, some)
    path = edges_along(edges, layout, apart, some, 20)
    whole = nx.DiGraph(edges.t().tolist())
    whole.add_node(11)
    for graph, (begin, end) in enumerate(((0, 8), (8, 12))):
        for i in range(begin, end):
            for j in range(begin, end):
                walked = [e for e in path[graph, i - begin, j - begin].tolist() if e >= 0]
                if i == j or not nx.has_path(whole, i, j):
                    assert not walked
                    continue
                assert len(walked) == nx.shortest_path_length(whole, i, j)
                ends = edges[:, walked]
                assert ends[0, 0] == i and ends[1, -1] == j and torch.equal(ends[1, :-1], ends[0, 1:])


@pytest.mark.parametrize("most", [2, 20])
def test_the_sum_along_a_path(most: int) -> None:
    layout, edges = two_graphs()
    some, attr, along = torch.arange(2), torch.randn(edges.shape[1], 3), PathEdges(3, 2, most)
    torch.nn.init.normal_(along.beyond)
    apart = path_lengths(edges, layout, 20, some)
    path = edges_along(edges, layout, apart, some, most)
    found = along(attr, path, apart)
    for graph, i, j in ((0, 0, 3), (0, 7, 6), (1, 0, 2), (1, 0, 3), (0, 1, 1)):
        steps = [e for e in path[graph, i, j].tolist() if e >= 0]
        vectors = [attr[e] @ along.embed.weight.t() for e in steps] + [along.beyond] * (most - len(steps))
        total = sum(vector @ place for vector, place in zip(vectors, along.places, strict=True))
        torch.testing.assert_close(found[graph, i, j], total / min(max(int(apart[graph, i, j]), 1), most))


def test_attributes_that_are_not_there_are_named() -> None:
    layout, edges = two_graphs()
    blocks = GraphBlocks(1, 8, 2, edge_values=3)
    for attr, said in ((None, "no attributes of edges"), (torch.zeros(edges.shape[1], 2), "have 2 values")):
        with pytest.raises(ValueError, match=said):
            blocks(torch.zeros(12, 8), layout, Relation(edges, attr), layout)


def test_a_head_that_shares() -> None:
    words = ["recipe=gmae", "preset=demo", "head.shared=true"]
    model = build_model(resolve(words))
    own = [key for key in model.state_dict() if key.startswith("objectives.") and ("centrality" in key or ".layers.bias" in key)]
    assert not own
    with pytest.raises(Exception, match="as many heads"):
        build_model(resolve([*words, "head.heads=2"]))
