"""Values of nodes from what a file says of them: categories, lists of features, and degrees where it says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from maskedmod.data.graphs.graph import Graph

MOST_DEGREE = 400
"""Degrees above count as this one (GraphMAE, Hou et al. 2022, in its released code)."""

Array = np.ndarray[Any, Any]


def one_hot(ids: Array, kinds: int) -> Array:
    """float32 ``[n, kinds]``."""
    return np.eye(kinds, dtype=np.float32)[ids]


def all_with_degrees(graphs: Sequence[Graph], most: int = MOST_DEGREE) -> tuple[list[Graph], int]:
    """The graphs with the in-degree of their nodes one-hot as values, float32 ``[n, kinds]``, and ``kinds``: the largest
    degree of all (at most ``most``) and one."""
    found = [np.minimum(np.bincount(graph.edges[1], minlength=len(graph)), most) for graph in graphs]
    kinds = max(int(degrees.max(initial=0)) for degrees in found) + 1
    return [replace(graph, nodes=one_hot(degrees, kinds)) for graph, degrees in zip(graphs, found, strict=True)], kinds


def sparse_rows(lists: Sequence[Sequence[int]]) -> Any:
    """SciPy CSR float32 ``[n, P]``, 1 at the features that a node lists; a feature listed twice is 1 too."""
    import scipy.sparse as sparse

    counts = [len(row) for row in lists]
    columns = np.fromiter((one for row in lists for one in row), np.int64, sum(counts))
    starts = np.concatenate([[0], np.cumsum(counts)])
    values = np.ones(len(columns), np.float32)
    rows = sparse.csr_matrix((values, columns, starts), shape=(len(lists), int(columns.max(initial=-1)) + 1))
    rows.sum_duplicates()
    rows.data[:] = 1
    return rows
