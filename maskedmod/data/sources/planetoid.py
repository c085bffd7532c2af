"""Planetoid's citation graphs: Cora, CiteSeer, PubMed."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.core.modality import Record
from maskedmod.data.graphs.graph import read_graph
from maskedmod.data.graphs.node_features import MOST_DEGREE
from maskedmod.data.graphs.pickles import read_pickle
from maskedmod.data.graphs.source import GraphSource
from maskedmod.errors import UserError

VALIDATED = 500
"""Nodes of the public validation part, those after the training part (Kipf and Welling 2017, section 5.1)."""


class Planetoid(GraphSource):
    """The raw files ``ind.NAME.{x,tx,allx,y,ty,ally,graph,test.index}`` of Yang et al. 2016, one graph.

    ``path`` is their folder or one above it; ``name`` is ``cora``, ``citeseer`` or ``pubmed`` where several are found. Nodes of
    the test part that the files leave out (CiteSeer has 15) become nodes without values and label. The public split goes with the
    graph. The graph trains as a whole and nothing of it is held out: validation is the same graph under masks of its own.
    """

    def __init__(self, path: str, name: str | None = None) -> None:
        super().__init__(MOST_DEGREE)
        self.path, self.name = path, name

    def _read(self) -> list[Record]:
        folder, name = _find(Path(self.path), self.name)
        key = f"{folder}/ind.{name}"
        arguments, labels, parts = _content(folder, name)
        return [Record(read_graph(key, arguments, self.note), key, labels, {"parts": parts})]


def _find(path: Path, name: str | None) -> tuple[Path, str]:
    """Folder and name of the files."""
    if not path.is_dir():
        raise UserError(f"data path {path} is no folder; expected that of Planetoid's files ind.NAME.x and so on")
    wanted = (name or "*").lower()
    found = sorted(file for file in path.rglob("ind.*.x") if wanted in ("*", file.name.split(".")[1].lower()))
    if not found:
        raise UserError(f"{path} has no file ind.{wanted}.x; expected Planetoid's raw files")
    names = [file.name.split(".")[1] for file in found]
    if len(found) > 1:
        raise UserError(f"{path} has {', '.join(names)}; choose one with data.name=")
    return found[0].parent, names[0]


def _pickles(stem: Path) -> dict[str, Any]:
    """What the pickles ``STEM.x`` and so on hold. UserError for one that holds something else, or does not fit another."""
    part = {end: read_pickle(stem.with_name(f"{stem.name}.{end}")) for end in ("x", "tx", "allx", "y", "ty", "ally", "graph")}
    for end in ("tx", "allx", "y", "ty", "ally"):
        if getattr(part[end], "ndim", 0) != 2:
            raise UserError(f"{stem}.{end} holds a {type(part[end]).__name__}; expected a table of rows and columns")
    if not isinstance(part["graph"], dict) or not all(isinstance(ends, list) for ends in part["graph"].values()):
        raise UserError(f"{stem}.graph holds a {type(part['graph']).__name__}; expected lists of neighbours by node")
    for end, axis, other in (("ally", 0, "allx"), ("tx", 1, "allx"), ("ty", 1, "ally")):
        if part[end].shape[axis] != part[other].shape[axis]:
            raise UserError(f"{stem}.{end} has the shape {part[end].shape}, {stem.name}.{other} {part[other].shape}")
    return part


def _content(folder: Path, name: str) -> tuple[dict[str, Any], list[int | None], dict[str, Any]]:
    """Arguments of ``graph.clean``, labels of the nodes, and the public split."""
    import scipy.sparse as sparse

    part = _pickles(folder / f"ind.{name}")
    where = folder / f"ind.{name}.test.index"
    try:
        test = np.array([int(line) for line in where.read_text().split()])
    except (OSError, ValueError) as error:
        raise UserError(f"{where} cannot be read: {error}") from None
    known, rows = part["allx"].shape[0], len(test)
    if part["tx"].shape[0] != rows or len(part["ty"]) != rows or not rows or test.min() != known:
        first = test.min() if rows else "none"
        raise UserError(f"{where} names {rows} nodes from {first} on; expected {part['tx'].shape[0]} from {known} on")
    n = int(test.max()) + 1
    values = sparse.lil_matrix((n, part["allx"].shape[1]), dtype=np.float32)
    values[:known], values[test] = part["allx"], part["tx"]
    classes = np.zeros((n, part["ally"].shape[1]))
    classes[:known], classes[test] = part["ally"], part["ty"]
    labels = [int(row.argmax()) if row.any() else None for row in classes]
    trained = len(part["y"])
    heads = np.repeat(np.fromiter(part["graph"], np.int64), [len(ends) for ends in part["graph"].values()])
    tails = np.fromiter(chain.from_iterable(part["graph"].values()), np.int64)
    split = {"train": np.arange(trained), "val": np.arange(trained, trained + VALIDATED), "test": np.sort(test)}
    return {"nodes": values.tocsr(), "edges": np.stack([heads, tails])}, labels, split
