"""Parts of a large graph: some nodes and a sample of what is around them (GraphSAGE, Hamilton et al. 2017, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskedmod.data.graphs.graph import Graph

Array = np.ndarray[Any, Any]


def seeds_of(n: int, part: int, parts: int, draw: np.random.Generator | None) -> Array:
    """Nodes that a part starts from: as many as there are nodes for each part, drawn anew by ``draw``; without it always those of
    this part, which all parts together make up the graph."""
    first, last = part * n // parts, (part + 1) * n // parts
    if draw is not None:
        return np.sort(draw.choice(n, last - first, replace=False))
    return np.sort(np.random.default_rng(n).permutation(n)[first:last])


def reached(graph: Graph, seeds: Array, neighbours: Sequence[int], draw: np.random.Generator) -> Array:
    """Node numbers, ascending: the seeds; at most ``neighbours[0]`` in-neighbours of each, at most ``neighbours[1]`` of each of
    these, and so on, drawn without replacement. A node is gone on from once, where it is first reached."""
    known = np.zeros(len(graph), bool)
    known[seeds] = True
    front = seeds
    for most in neighbours:
        found = _some_sources(graph, front, most, draw)
        front = np.unique(found[~known[found]])
        known[front] = True
    return np.flatnonzero(known)


def induced(graph: Graph, chosen: Array) -> Graph:
    """The graph of ``chosen`` nodes (ascending) with all edges between them."""
    number = np.full(len(graph), -1)
    number[chosen] = np.arange(len(chosen))
    rows, owner = _rows(graph, chosen)
    source = number[graph.edges[0, rows]]
    inside = source >= 0
    edges = np.stack([source[inside], owner[inside]])
    return Graph(graph.nodes[chosen], edges, None if graph.edge_attr is None else graph.edge_attr[rows[inside]])


def _some_sources(graph: Graph, targets: Array, most: int, draw: np.random.Generator) -> Array:
    """Sources of at most ``most`` edges into every one of ``targets``: those of smallest random number."""
    rows, owner = _rows(graph, targets)
    order = np.lexsort((draw.random(len(rows)), owner))
    rows, owner = rows[order], owner[order]
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)
    found: Array = graph.edges[0, rows[place < most]]
    return found


def _rows(graph: Graph, targets: Array) -> tuple[Array, Array]:
    """Numbers of all edges into ``targets``, and for each the place of its target among them."""
    starts = graph.starts[targets]
    counts = graph.starts[targets + 1] - starts
    owner = np.repeat(np.arange(len(targets)), counts)
    before = np.cumsum(counts) - counts
    return (starts - before)[owner] + np.arange(len(owner)), owner
