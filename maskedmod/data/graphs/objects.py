"""Graphs of other packages as ours. Nothing of these packages is imported: their objects are known by what they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskedmod.core.modality import BadSample
from maskedmod.data.graphs.graph import Graph, clean
from maskedmod.errors import UserError, one_line

FEATURE, LABEL = "x", "y"
"""Node attributes of a NetworkX graph that are its values (a list of numbers) and, by default, its label."""


def known(given: Any) -> bool:
    """Whether it is one graph of another package, be it one that ``convert`` takes or not; a data set is none, though those of
    PyTorch Geometric pass the edges of all their graphs on as their own."""
    return _is_networkx(given) or (_is_pyg(given) and not hasattr(given, "indices"))


def apart(given: Any) -> list[Any]:
    """The graphs of a ``Batch`` of PyTorch Geometric, one by one; any other graph alone. UserError for a batch that was not made
    of graphs."""
    if not hasattr(given, "to_data_list"):
        return [given]
    try:
        return list(given.to_data_list())
    except RuntimeError as error:
        raise UserError(f"a Batch that cannot be taken apart: {one_line(str(error))}") from None


def _is_pyg(given: Any) -> bool:
    return hasattr(given, "edge_index") or hasattr(type(given), "num_nodes")


def _is_networkx(given: Any) -> bool:
    return hasattr(given, "nodes") and hasattr(given, "edges") and callable(getattr(given, "is_directed", None))


def convert(given: Any) -> Graph:
    """A graph of PyTorch Geometric (``x``, ``edge_index``, ``edge_attr``), its edges in the directions in which they are given,
    or of NetworkX (node attribute ``x``), of which all nodes or none have values. Without values a node has one, 1. Weights of
    edges are not read.
    BadSample for what is neither."""
    if hasattr(given, "edge_index"):
        return _from_pyg(given)
    if _is_networkx(given):
        return _from_networkx(given)
    raise BadSample(f"expected a graph, got {type(given).__name__}")


def has_values(given: Any) -> bool:
    """Whether the nodes of an object that ``convert`` takes have values of their own."""
    if hasattr(given, "edge_index"):
        return getattr(given, "x", None) is not None
    return any(FEATURE in values for _, values in given.nodes(data=True))


def all_or_none(given: Sequence[Any], names: Sequence[str]) -> bool:
    """Whether the nodes of all objects have values. UserError where those of some have and those of others have not."""
    having = [has_values(one) for one in given]
    if any(having) and not all(having):
        raise UserError(f"{names[having.index(False)]} has no values {FEATURE!r} of nodes, {names[having.index(True)]} has")
    return all(having)


def token_labels(given: Any, label: str = LABEL) -> Any:
    """Labels of the nodes of an object that ``convert`` takes, as many as there are nodes; None where it has none."""
    if hasattr(given, "edge_index"):
        y = getattr(given, "y", None)
        return y.tolist() if y is not None and y.ndim == 1 and len(y) == given.num_nodes > 1 else None
    found = [values.get(label) for _, values in given.nodes(data=True)]
    return found if any(one is not None for one in found) else None


def _from_pyg(given: Any) -> Graph:
    if given.edge_index is None:
        raise BadSample("has no edge_index; expected whole numbers [2, E]")
    if hasattr(given, "to_data_list"):
        raise BadSample("is a Batch; expected its graphs, those of to_data_list()")
    x, attr = getattr(given, "x", None), getattr(given, "edge_attr", None)
    nodes = _ones(int(given.num_nodes)) if x is None else _table(x, "x")
    return clean(nodes, given.edge_index.cpu().numpy(), None if attr is None else _table(attr, "edge_attr"), undirected=False)


def _table(values: Any, name: str) -> Any:
    """A tensor ``[n]`` or ``[n, P]`` of any type and layout as float32 ``[n, P]``; edges keep whole numbers."""
    if values.ndim not in (1, 2):
        raise BadSample(f"{name} has the shape {tuple(values.shape)}; expected a row of numbers each")
    values = values.detach().cpu().to_dense()
    whole = name == "edge_attr" and not values.is_floating_point()
    found = values.numpy() if whole else values.float().numpy()
    return found[:, None] if found.ndim == 1 else found


def _from_networkx(given: Any) -> Graph:
    number = {name: i for i, name in enumerate(given.nodes)}
    edges = np.array([(number[a], number[b]) for a, b in given.edges()], np.int64).reshape(-1, 2).T
    rows = [values.get(FEATURE) for _, values in given.nodes(data=True)]
    missing = [name for name, row in zip(number, rows, strict=True) if row is None]
    if missing and len(missing) < len(rows):
        raise BadSample(f"node {missing[0]!r} has no values {FEATURE!r}, others have")
    try:
        nodes = _ones(len(rows)) if missing or not rows else np.array(rows, np.float32).reshape(len(rows), -1)
    except (TypeError, ValueError):
        raise BadSample(f"the nodes' {FEATURE!r} are no lists of numbers of one length") from None
    return clean(nodes, edges, undirected=not given.is_directed())


def _ones(n: int) -> Any:
    return np.ones((n, 1), np.float32)
