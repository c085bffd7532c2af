"""Raw files of the Open Graph Benchmark: one large graph, or many."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from maskedmod.core.modality import BadSample, Modality, Record
from maskedmod.data.graphs.graph import Graph, clean
from maskedmod.data.graphs.node_features import MOST_DEGREE
from maskedmod.data.graphs.number_tables import integers, numbers
from maskedmod.data.graphs.source import GraphSource
from maskedmod.data.sources import Records, Split
from maskedmod.errors import UserError

Array = np.ndarray[Any, Any]
PARTS = {"train": "train", "val": "valid", "test": "test"}


class Ogb(GraphSource):
    """A folder with ``raw/`` and ``split/`` as the Open Graph Benchmark (Hu et al. 2020) unpacks them, and data laid out alike:
    ``raw/edge``, ``num-node-list``, ``num-edge-list`` and, where there are any, ``node-feat``, ``node-label``, ``graph-label``,
    each ``.csv.gz`` or ``.csv`` without column names; nodes are counted from 0 in every graph.

    ``split``: folder under ``split/`` with ``train``, ``valid`` and ``test``, needed where there are several. Of one graph these
    are nodes, which go with it for evaluations; it trains as a whole, and validation is the same graph under masks of its own.
    Of many graphs, those of ``train`` train and those of ``held_out`` validate. Edges lie in both directions unless ``directed``.
    Nodes without features carry their degree, one-hot, all above ``max_degree`` as one. Missing labels are empty cells.
    """

    def __init__(
        self,
        path: str,
        split: str | None = None,
        held_out: Literal["valid", "test"] = "valid",
        directed: bool = False,
        max_degree: int = MOST_DEGREE,
    ) -> None:
        super().__init__(max_degree)
        self.path, self.split, self.held_out, self.directed = path, split, held_out, directed
        self._parts: dict[str, Array] = {}

    def records(self, split: Split, modality: Modality) -> Records:
        """Graphs of a split, or the one graph in both. UserError names the file and row that does not fit."""
        every = self.everything(modality)
        if len(every) == 1:
            return list(modality.divide(every[0]))
        if not self._parts:
            return list(every) if split == "train" else []
        chosen = self._parts["train" if split == "train" else {"valid": "val", "test": "test"}[self.held_out]]
        return [part for i in chosen.tolist() for part in modality.divide(every[i])]

    def _read(self) -> list[Record]:
        folder, raw = Path(self.path), Path(self.path) / "raw"
        sizes, counts = _counts(raw, "num-node-list"), _counts(raw, "num-edge-list")
        if _file(raw, "edge-feat").is_file():
            self.note(f"{_file(raw, 'edge-feat')} is not read")
        edges = _needed(raw, "edge")
        features, of_nodes, of_graphs = (_table(raw, name) for name in ("node-feat", "node-label", "graph-label"))
        for name, table, due in (
            ("num-edge-list", counts, len(sizes)), ("edge", edges, int(counts.sum())),
            ("node-feat", features, int(sizes.sum())), ("node-label", of_nodes, int(sizes.sum())),
            ("graph-label", of_graphs, len(sizes)),
        ):  # fmt: skip
            if table is not None and len(table) != due:
                raise UserError(f"{_file(raw, name)} has {len(table)} rows, expected {due}")
        graphs = self._graphs(raw, sizes, np.split(edges, np.cumsum(counts)[:-1]), features)
        self._parts = self._read_parts(folder / "split", int(sizes[0]) if len(sizes) == 1 else len(sizes))
        nodes = (
            None if of_nodes is None else [[_label(row) for row in rows] for rows in np.split(of_nodes, np.cumsum(sizes)[:-1])]
        )
        if len(graphs) == 1:
            parts = {"parts": self._parts} if self._parts else {}
            records = [Record(graphs[0], self.path, None if nodes is None else nodes[0], parts)]
        else:
            of = [None] * len(graphs) if of_graphs is None else [_label(row) for row in of_graphs]
            extra = [{} if nodes is None else {"token_labels": nodes[i]} for i in range(len(graphs))]
            records = [Record(graph, f"{self.path} graph {i}", of[i], extra[i]) for i, graph in enumerate(graphs)]
        self.said(records, self.path)
        return self.by_degree(records, self.path) if features is None else records

    def _graphs(self, raw: Path, sizes: Array, edges: list[Array], features: Array | None) -> list[Graph]:
        values = [np.ones((n, 1)) for n in sizes] if features is None else np.split(features, np.cumsum(sizes)[:-1])
        graphs = []
        first = 0
        for i, (nodes, ends) in enumerate(zip(values, edges, strict=True)):
            if ends.size and ends.shape[1] != 2:
                raise UserError(f"{_file(raw, 'edge')} has {ends.shape[1]} columns, expected 2")
            try:
                graphs.append(clean(nodes.astype(np.float32), ends.T, undirected=not self.directed, first=first))
            except BadSample as error:
                raise UserError(f"{_file(raw, 'edge')}, graph {i}: {error}") from None
            first += len(ends)
        return graphs

    def _read_parts(self, folder: Path, count: int) -> dict[str, Array]:
        """Numbers of nodes or graphs of every part; nothing where there is no split."""
        names = sorted(place.name for place in folder.iterdir() if place.is_dir()) if folder.is_dir() else []
        if not names and self.split is None:
            return {}
        if self.split not in names and (self.split is not None or len(names) > 1):
            raise UserError(f"{folder} has {', '.join(names) or 'no folder'}; choose one with data.split=")
        parts = {}
        for part, name in PARTS.items():
            rows = _needed(folder / (self.split or names[0]), name)[:, 0]
            if ((rows < 0) | (rows >= count)).any():
                raise UserError(f"{_file(folder / (self.split or names[0]), name)} names {int(rows.max())} of {count}")
            parts[part] = rows
        return parts


def _file(folder: Path, name: str) -> Path:
    """The packed file, or the plain one where there is no other."""
    plain = folder / f"{name}.csv"
    return plain if plain.is_file() else folder / f"{name}.csv.gz"


def _needed(folder: Path, name: str) -> Array:
    return integers(_file(folder, name))


def _counts(folder: Path, name: str) -> Array:
    """Rows of one number from 0 on."""
    rows: Array = _needed(folder, name)[:, 0]
    if (rows < 0).any():
        at = int((rows < 0).argmax())
        raise UserError(f"{_file(folder, name)} row {at + 1} is {rows[at]}; expected a number from 0 on")
    return rows


def _table(folder: Path, name: str) -> Array | None:
    return numbers(_file(folder, name)) if _file(folder, name).is_file() else None


def _label(row: Array) -> Any:
    """A class, a number, None where it is missing; of several tasks a list of such."""
    cells = [None if np.isnan(cell) else int(cell) if cell == int(cell) else float(cell) for cell in row.tolist()]
    return cells[0] if len(cells) == 1 else cells
