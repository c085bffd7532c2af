"""Graph classification sets of the TUDataset collection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from maskedmod.core.modality import BadSample, Record
from maskedmod.data.graphs.graph import Graph, clean
from maskedmod.data.graphs.node_features import MOST_DEGREE, one_hot
from maskedmod.data.graphs.number_tables import integers, numbers
from maskedmod.data.graphs.source import GraphSource
from maskedmod.errors import UserError

Array = np.ndarray[Any, Any]


class Tu(GraphSource):
    """The text files ``NAME_A.txt``, ``NAME_graph_indicator.txt`` and so on of a TUDataset (Morris et al. 2020), many graphs.

    ``path`` is their folder or one above it; ``name`` is needed where several sets are found. ``nodes``: ``given`` takes node
    attributes and labels (one-hot) as values, and degrees where the files have neither; ``degree`` takes the degree one-hot, all
    above ``max_degree`` as one (GraphMAE's rule for social networks). ``edges``: values of edges are not read, or edge attributes
    and labels (one-hot) are. Edges lie in both directions, none twice; self-loops and repeated edges are counted and left out.
    Graphs to validate are a share ``val_fraction`` by a hash of their number (0: none). Rows are counted from 1.
    """

    def __init__(
        self,
        path: str,
        name: str | None = None,
        nodes: Literal["given", "degree"] = "given",
        edges: Literal["none", "given"] = "none",
        max_degree: int = MOST_DEGREE,
        val_fraction: float = 0.05,
    ) -> None:
        super().__init__(max_degree, val_fraction)
        self.path, self.name, self.nodes, self.edges = path, name, nodes, edges

    def _read(self) -> list[Record]:
        files = _Files(_find(Path(self.path), self.name))
        graph_of, edges = _members(files)
        count = int(graph_of.max()) + 1
        values = None if self.nodes == "degree" else _values(files, "node", len(graph_of))
        attr = None if self.edges == "none" else _values(files, "edge", edges.shape[1])
        labels = files.read("graph_labels", integers)
        if labels is not None and len(labels) != count:
            raise UserError(f"{files.of('graph_labels')} has {len(labels)} rows, {files.of('graph_indicator')} {count} graphs")
        graphs = _cut(files, graph_of, edges, values, attr)
        records = [
            Record(graph, f"{files.stem.name} graph {i + 1}", None if labels is None else int(labels[i, 0]))
            for i, graph in enumerate(graphs)
        ]
        self.said(records, self.path)
        return self.by_degree(records, self.path) if values is None else records


@dataclass(frozen=True)
class _Files:
    """Files of one set; ``stem`` is their path up to the underscore."""

    stem: Path

    def of(self, what: str) -> Path:
        return self.stem.with_name(f"{self.stem.name}_{what}.txt")

    def read(self, what: str, reader: Any) -> Array | None:
        """Rows of a file, None where there is none."""
        return reader(self.of(what)) if self.of(what).is_file() else None

    def needed(self, what: str) -> Array:
        """Rows of integers of a file that every set has."""
        found = self.read(what, integers)
        if found is None or not len(found):
            raise UserError(f"{self.of(what)} {'does not exist' if found is None else 'is empty'}")
        return found


def _find(path: Path, name: str | None) -> Path:
    if not path.is_dir():
        raise UserError(f"data path {path} is no folder; expected that of NAME_A.txt and NAME_graph_indicator.txt")
    found = sorted(path.rglob(f"{name or '*'}_A.txt"))
    if not found:
        raise UserError(f"{path} has no file {name or 'NAME'}_A.txt; expected the files of a TUDataset")
    if len(found) > 1:
        names = ", ".join(file.name.removesuffix("_A.txt") for file in found)
        raise UserError(f"{path} has {names}; choose one with data.name=")
    return found[0].with_name(found[0].name.removesuffix("_A.txt"))


def _members(files: _Files) -> tuple[Array, Array]:
    """Graph of every node, counted from 0, and edges ``[2, E]`` between nodes counted from 0 over all graphs."""
    graph_of, edges = files.needed("graph_indicator")[:, 0] - 1, files.needed("A")
    place = files.of("A")
    if (np.diff(graph_of) < 0).any() or graph_of[0] != 0:
        raise UserError(f"{files.of('graph_indicator')}: graphs must be numbered from 1 on in ascending order")
    if (gaps := np.flatnonzero(np.diff(graph_of) > 1)).size:
        raise UserError(f"{files.of('graph_indicator')}: graph {int(graph_of[gaps[0]]) + 2} has no node")
    if edges.shape[1] != 2:
        raise UserError(f"{place} has {edges.shape[1]} columns, expected 2")
    wrong = ((edges < 1) | (edges > len(graph_of))).any(1)
    if wrong.any():
        at = int(wrong.argmax())
        raise UserError(f"{place} row {at + 1} joins {edges[at, 0]} and {edges[at, 1]}; expected nodes 1 to {len(graph_of)}")
    ends = graph_of[edges - 1]
    if (apart := ends[:, 0] != ends[:, 1]).any():
        at = int(apart.argmax())
        raise UserError(f"{place} row {at + 1} joins nodes of graphs {ends[at, 0] + 1} and {ends[at, 1] + 1}")
    return graph_of, edges.T - 1


def _values(files: _Files, what: str, count: int) -> Array | None:
    """Attributes, then every column of labels one-hot, float32 ``[count, P]``; None where there is neither."""
    parts = []
    if (attributes := files.read(f"{what}_attributes", numbers)) is not None:
        parts.append((f"{what}_attributes", attributes.astype(np.float32)))
    if (labels := files.read(f"{what}_labels", integers)) is not None:
        for column in labels.T:
            kinds, ids = np.unique(column, return_inverse=True)
            parts.append((f"{what}_labels", one_hot(ids, len(kinds))))
    for name, part in parts:
        if len(part) != count:
            raise UserError(f"{files.of(name)} has {len(part)} rows, expected {count}")
    return np.concatenate([part for _, part in parts], axis=1) if parts else None


def _cut(files: _Files, graph_of: Array, edges: Array, values: Array | None, attr: Array | None) -> list[Graph]:
    """One cleaned graph after another."""
    count = int(graph_of.max()) + 1
    sizes = np.bincount(graph_of, minlength=count)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    order = np.argsort(graph_of[edges[0]], kind="stable")
    edges, attr = edges[:, order], None if attr is None else attr[order]
    borders = np.concatenate([[0], np.cumsum(np.bincount(graph_of[edges[0]], minlength=count))])
    graphs = []
    for i in range(count):
        a, b, e, f = starts[i], starts[i + 1], borders[i], borders[i + 1]
        nodes = np.ones((b - a, 1), np.float32) if values is None else values[a:b]
        try:
            graphs.append(clean(nodes, edges[:, e:f] - a, None if attr is None else attr[e:f]))
        except BadSample as error:
            raise UserError(f"{files.stem} graph {i + 1}: {error}") from None
    return graphs
