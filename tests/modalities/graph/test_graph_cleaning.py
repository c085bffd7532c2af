"""What is done to edges before anything is learned of them, and what makes a graph unusable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sparse
from maskedmod.modalities.graph.reading import row_normalised, with_self_loops

from maskedmod.core.modality import BadSample
from maskedmod.data.graphs.graph import Graph, clean, read_graph
from maskedmod.data.graphs.node_features import all_with_degrees, sparse_rows
from maskedmod.errors import UserError

NODES = np.ones((5, 2), np.float32)


def pairs(graph: Graph) -> list[tuple[int, int]]:
    return [(a, b) for a, b in graph.edges.T.tolist()]


def edges(*given: tuple[int, int]) -> np.ndarray[Any, Any]:
    return np.array(given).reshape(-1, 2).T


def test_undirected_edges_lie_in_both_directions_sorted_by_target() -> None:
    graph = clean(NODES, edges((3, 1), (0, 2)))
    assert pairs(graph) == [(2, 0), (3, 1), (0, 2), (1, 3)]
    assert graph.removed == {} and graph.starts.tolist() == [0, 1, 2, 3, 4, 4]


def test_a_pair_in_both_directions_is_no_duplicate_the_same_direction_twice_is() -> None:
    graph = clean(NODES, edges((0, 1), (1, 0), (0, 1), (2, 2), (4, 3), (2, 2)))
    assert pairs(graph) == [(1, 0), (0, 1), (4, 3), (3, 4)]
    assert graph.removed == {"self-loops": 2, "duplicate edges": 1}


def test_directed_edges_keep_their_direction() -> None:
    graph = clean(NODES, edges((0, 1), (1, 0), (0, 1), (3, 1)), undirected=False)
    assert pairs(graph) == [(1, 0), (0, 1), (3, 1)] and graph.removed == {"duplicate edges": 1}


def test_attributes_follow_their_edges_and_the_first_of_duplicates_counts() -> None:
    attr = np.array([[7], [8], [9], [5]])
    graph = clean(NODES, edges((3, 1), (0, 2), (1, 3), (4, 4)), attr)
    assert graph.edge_attr is not None
    found = dict(zip(pairs(graph), graph.edge_attr[:, 0].tolist(), strict=True))
    assert found == {(3, 1): 7, (1, 3): 7, (0, 2): 8, (2, 0): 8}


def test_isolated_nodes_stay() -> None:
    graph = clean(NODES, edges((0, 1)))
    assert len(graph) == 5 and len(clean(NODES, edges())) == 5
    said: list[str] = []
    read_graph("g", {"nodes": NODES, "edges": edges((0, 1), (1, 1))}, said.append)
    assert said == ["g: 5 nodes, 3 of them without neighbours, 2 directed edges", "g: 1 self-loops left out"]


@pytest.mark.parametrize(
    ("nodes", "given", "message"),
    [
        (NODES, edges((0, 1), (4, 5)), "edge 1 joins 4 and 5; expected node numbers 0 to 4"),
        (NODES, edges((-1, 1)), "edge 0 joins -1 and 1; expected node numbers 0 to 4"),
        (NODES[:0], edges(), "has no node"),
        (np.array([[1.0], [np.nan]]), edges((0, 1)), "node 1 has a value that is not finite"),
        (sparse.csr_matrix([[1.0], [np.inf]]), edges((0, 1)), "node has a value that is not finite"),
    ],
)
def test_unusable_graphs_say_why(nodes: Any, given: np.ndarray[Any, Any], message: str) -> None:
    with pytest.raises(BadSample, match=message):
        clean(nodes, given)
    with pytest.raises(UserError, match=f"file.csv: {message}"):
        read_graph("file.csv", {"nodes": nodes, "edges": given}, lambda line: None)


def test_self_loops_are_put_in_among_the_others() -> None:
    graph = with_self_loops(clean(NODES[:3], edges((0, 2)), np.array([[4.0]])))
    assert pairs(graph) == [(0, 0), (2, 0), (1, 1), (0, 2), (2, 2)]
    assert graph.edge_attr is not None and graph.edge_attr[:, 0].tolist() == [0, 4, 0, 4, 0]


def test_rows_are_divided_by_their_sum_and_empty_rows_stay() -> None:
    found = row_normalised(np.array([[1, 3], [0, 0]], np.float32))
    assert found.tolist() == [[0.25, 0.75], [0, 0]] and found.dtype == np.float32


def test_degrees_are_one_hot_over_all_graphs_and_capped() -> None:
    star, pair = clean(NODES, edges((0, 1), (0, 2), (0, 3))), clean(NODES[:2], edges((0, 1)))
    graphs, kinds = all_with_degrees([star, pair])
    assert kinds == 4 and graphs[0].nodes.argmax(1).tolist() == [3, 1, 1, 1, 0] and graphs[1].nodes.shape == (2, 4)
    capped, kinds = all_with_degrees([star, pair], most=2)
    assert kinds == 3 and capped[0].nodes.argmax(1).tolist() == [2, 1, 1, 1, 0]


def test_lists_of_features_become_sparse_rows() -> None:
    rows = sparse_rows([[2, 0, 2], [], [1]])
    assert rows.toarray().tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
