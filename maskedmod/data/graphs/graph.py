"""One graph as it is read: checked, cleaned, and with a count of what was cleaned away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from maskedmod.core.modality import BadSample
from maskedmod.errors import UserError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Graph:
    """n nodes and E directed edges; an undirected graph has both directions.

    ``nodes``: float32 ``[n, P]``, a scipy CSR matrix of that shape, or int64 ``[n, C]`` for categories. ``edges``: int64
    ``[2, E]``, rows source and target, sorted by target and then source, none twice. ``edge_attr``: ``[E, Q]`` floats or int64
    categories in the order of the edges. ``removed``: how many of what was left out when it was read. ``seeds``: bool ``[n]`` of
    a part of a larger graph, nodes that it was drawn around.

    A record of a graph may carry ``extra["token_labels"]``, a label (or None) for each node, where its own label is that of the
    graph; and ``extra["parts"]``, node numbers of a published split by ``train``, ``val`` and ``test``.
    """

    nodes: Any
    edges: Array
    edge_attr: Array | None = None
    removed: Mapping[str, int] = field(default_factory=dict)
    seeds: Array | None = None

    def __len__(self) -> int:
        return int(self.nodes.shape[0])

    @cached_property
    def starts(self) -> Array:
        """First edge into every node, int64 ``[n + 1]``: the edges into node i are ``starts[i]`` to ``starts[i + 1]``."""
        counts = np.bincount(self.edges[1], minlength=len(self))
        return np.concatenate([[0], np.cumsum(counts)])


def clean(
    nodes: Any,
    edges: Array,
    edge_attr: Array | None = None,
    *,
    undirected: bool = True,
    row: str = "edge",
    first: int = 0,
) -> Graph:
    """A Graph from edges ``[2, E]`` in any order. Duplicates (with ``undirected`` also a pair given in both directions) and
    self-loops are taken out and counted; of duplicates with attributes the first counts. Nodes without edges stay.

    BadSample for no node, for edges that are no whole numbers in two rows, for an end that is no node of 0 to n-1 (``row`` names
    what is counted, from ``first`` on), or for values that are not finite.
    """
    n = int(nodes.shape[0])
    if n == 0:
        raise BadSample("has no node")
    edges = _two_rows(edges)
    wrong = ((edges < 0) | (edges >= n)).any(0)
    if wrong.any():
        at = int(wrong.argmax())
        raise BadSample(f"{row} {first + at} joins {edges[0, at]} and {edges[1, at]}; expected node numbers 0 to {n - 1}")
    _finite(nodes, "node")
    if edge_attr is not None:
        if len(edge_attr) != edges.shape[1]:
            raise BadSample(f"has {edges.shape[1]} edges and attributes of {len(edge_attr)}")
        _finite(edge_attr, "edge")
    kept, removed = _without_repeats(edges, n, undirected)
    edges = edges[:, kept]
    attr = None if edge_attr is None else edge_attr[kept]
    if undirected:
        edges = np.concatenate([edges, edges[::-1]], axis=1)
        attr = None if attr is None else np.concatenate([attr, attr])
    order = np.lexsort((edges[0], edges[1]))
    edges = np.ascontiguousarray(edges[:, order])
    return Graph(nodes, edges, None if attr is None else attr[order], removed)


def _two_rows(edges: Any) -> Array:
    """int64 ``[2, E]``; of no edge any shape and type will do."""
    edges = np.asarray(edges)
    if not edges.size:
        return np.zeros((2, 0), np.int64)
    if edges.ndim != 2 or edges.shape[0] != 2 or edges.dtype.kind not in "iu":
        raise BadSample(f"has edges {edges.dtype} {list(edges.shape)}; expected whole numbers [2, E], sources above targets")
    return edges.astype(np.int64)


def read_graph(name: str, arguments: Mapping[str, Any], note: Callable[[str], None]) -> Graph:
    """The graph of a data source: ``clean(**arguments)``, with what was found and left out noted. UserError names the file."""
    try:
        graph = clean(**arguments)
    except BadSample as error:
        raise UserError(f"{name}: {error}") from None
    for line in told([graph]):
        note(f"{name}: {line}")
    return graph


def told(graphs: Sequence[Graph]) -> list[str]:
    """What graphs are, and what was left out of them, a line each."""
    nodes, edges = sum(len(graph) for graph in graphs), sum(graph.edges.shape[1] for graph in graphs)
    alone = nodes - sum(len(np.unique(graph.edges)) for graph in graphs)
    many = f"{len(graphs)} graphs, " if len(graphs) > 1 else ""
    lines = [f"{many}{nodes} nodes, {alone} of them without neighbours, {edges} directed edges"]
    removed: dict[str, int] = {}
    for graph in graphs:
        for what, count in graph.removed.items():
            removed[what] = removed.get(what, 0) + count
    return [*lines, *([left_out(removed)] if removed else [])]


def left_out(removed: Mapping[str, int]) -> str:
    """``2 self-loops, 1 duplicate edges left out``."""
    return f"{', '.join(f'{count} {what}' for what, count in removed.items())} left out"


def _without_repeats(edges: Array, n: int, undirected: bool) -> tuple[Array, dict[str, int]]:
    """Numbers of the edges that stay, the first of each kind, and what does not. A pair in both directions is how undirected
    graphs are usually written, so its second direction is not counted as a duplicate; the same direction twice is."""
    loop = edges[0] == edges[1]
    directed = edges[0] * n + edges[1]
    _, first = np.unique(directed, return_index=True)
    duplicates = int((~loop).sum()) - int((~loop[first]).sum())
    if undirected:
        low, high = edges.min(0), edges.max(0)
        _, first = np.unique(low * n + high, return_index=True)
    kept = np.sort(first[~loop[first]])
    found = {"self-loops": int(loop.sum()), "duplicate edges": duplicates}
    return kept, {what: count for what, count in found.items() if count}


def _finite(values: Any, what: str) -> None:
    data = values.data if hasattr(values, "tocsr") else np.asarray(values)
    if data.dtype.kind != "f" or bool(np.isfinite(data).all()):
        return
    rows = values.tocsr().indices if hasattr(values, "tocsr") else None
    where = "" if rows is not None else f" {int((~np.isfinite(data)).reshape(len(data), -1).any(1).argmax())}"
    raise BadSample(f"{what}{where} has a value that is not finite")
