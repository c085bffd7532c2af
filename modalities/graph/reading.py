"""What a record holds, as a graph that is ready to be packed."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from maskedmod.core.modality import altered
from maskedmod.data.graphs.graph import Graph, left_out
from maskedmod.data.graphs.objects import convert, known


def is_graph(given: Any) -> bool:
    """Whether ``graph_of`` takes it."""
    return isinstance(given, Graph) or known(given)


def graph_of(given: Any) -> Graph:
    """A graph of ours, of NetworkX or of PyTorch Geometric, of which it is told what is left out. BadSample for anything else."""
    if isinstance(given, Graph):
        return given
    graph = convert(given)
    if graph.removed:
        altered(left_out(graph.removed))
    return graph


def ready(graph: Graph, normalize: str, self_loops: bool) -> Graph:
    """Values in memory as they are used: dense, normalised by ``row`` or ``none``, with self-loops where they are wanted."""
    sparse = hasattr(graph.nodes, "tocsr")
    if sparse and normalize == "row" and graph.nodes.dtype == np.float32:
        nodes = dense_row_normalised(graph.nodes)
    else:
        nodes = graph.nodes.toarray() if sparse else graph.nodes
        nodes = row_normalised(nodes) if normalize == "row" else nodes
    graph = replace(graph, nodes=nodes)
    return with_self_loops(graph) if self_loops else graph


def ready_whole(graph: Graph, normalize: str, self_loops: bool) -> Graph:
    """As ``ready``, kept for the two latest graphs: whole-graph training reads the same one at every step."""
    return _kept(_Same(graph), normalize, self_loops)


class _Same:
    """A graph as a key: equal to itself alone."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __hash__(self) -> int:
        return id(self.graph)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.graph is self.graph


@lru_cache(maxsize=2)
def _kept(key: _Same, normalize: str, self_loops: bool) -> Graph:
    return ready(key.graph, normalize, self_loops)


def row_normalised(nodes: Any) -> Any:
    """Rows divided by their sum; rows that sum to 0 stay."""
    total = nodes.sum(axis=1, keepdims=True)
    return (nodes / np.where(total == 0, 1, total)).astype(np.float32)


def dense_row_normalised(nodes: Any) -> Any:
    """``row_normalised`` of a float32 CSR matrix made dense, the same numbers bit for bit, in one array: of a part of a large
    graph it is hundreds of megabytes, and every such array costs the system time to give and to clear."""
    found = nodes.toarray()
    total = found.sum(axis=1, keepdims=True)
    found /= np.where(total == 0, 1, total)
    return found


def with_self_loops(graph: Graph) -> Graph:
    """An edge from every node to itself, sorted in among the others; its attributes are 0."""
    n = len(graph)
    own = np.arange(n)
    edges = np.concatenate([graph.edges, np.stack([own, own])], axis=1)
    attr = graph.edge_attr
    if attr is not None:
        attr = np.concatenate([attr, np.zeros((n, *attr.shape[1:]), attr.dtype)])
    order = np.lexsort((edges[0], edges[1]))
    return replace(graph, edges=np.ascontiguousarray(edges[:, order]), edge_attr=None if attr is None else attr[order])
