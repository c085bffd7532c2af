"""What a record may hold, as a graph that is ready to be packed."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from maskedmod.data.graph import Graph
from maskedmod.modality import BadSample, Record


def read(record: Record, kind: str, normalize: str, self_loops: bool) -> Graph:
    """The graph of a record. BadSample for data that are no graph."""
    given = record.data
    if kind == "molecule" and not isinstance(given, Graph):
        from .molecules import graph_of

        given = graph_of(given)
    if not isinstance(given, Graph):
        raise BadSample(f"expected a graph, got {type(given).__name__}")
    return _ready(given, normalize, self_loops)


class _Same:
    """A graph as a key: equal to itself alone."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __hash__(self) -> int:
        return id(self.graph)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.graph is self.graph


def _ready(graph: Graph, normalize: str, self_loops: bool) -> Graph:
    """Kept for the latest few graphs, since whole-graph training reads the same one at every step."""
    return _prepared(_Same(graph), normalize, self_loops)


@lru_cache(maxsize=4)
def _prepared(key: _Same, normalize: str, self_loops: bool) -> Graph:
    graph = key.graph
    nodes = graph.nodes.toarray() if hasattr(graph.nodes, "tocsr") else graph.nodes
    if normalize == "row":
        nodes = _row_normalised(nodes)
    graph = replace(graph, nodes=nodes)
    return with_self_loops(graph) if self_loops else graph


def _row_normalised(nodes: Any) -> Any:
    """Rows divided by their sum; rows that sum to 0 stay."""
    total = nodes.sum(axis=1, keepdims=True)
    return (nodes / np.where(total == 0, 1, total)).astype(np.float32)


def with_self_loops(graph: Graph) -> Graph:
    """An edge from every node to itself, sorted in among the others; their attributes are 0."""
    n = len(graph)
    own = np.arange(n)
    edges = np.concatenate([graph.edges, np.stack([own, own])], axis=1)
    attr = graph.edge_attr
    if attr is not None:
        attr = np.concatenate([attr, np.zeros((n, *attr.shape[1:]), attr.dtype)])
    order = np.lexsort((edges[0], edges[1]))
    return replace(graph, edges=np.ascontiguousarray(edges[:, order]), edge_attr=None if attr is None else attr[order])
