"""Files that hold a graph each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from maskedmod.core.modality import BadSample, Record
from maskedmod.data.files import files_at
from maskedmod.data.graphs.node_features import MOST_DEGREE
from maskedmod.data.graphs.objects import all_or_none, convert, token_labels
from maskedmod.data.graphs.source import GraphSource
from maskedmod.errors import UserError, one_line
from maskedmod.support.compat import require

ENDINGS = (".graphml", ".gml", ".gexf", ".json")
"""GraphML, GML, GEXF, and JSON of NetworkX's ``node_link_data``."""


class Graphs(GraphSource):
    """Files that NetworkX reads (``.graphml``, ``.gml``, ``.gexf``, and ``.json`` of its node-link form), one graph each;
    ``path`` is a file or a folder, whose sub-folders are labels. In Python, ``path`` may also be a list of NetworkX graphs.

    Values of a node: its attributes ``values`` in this order, numbers each, or the attribute ``x``, a list of numbers (in
    text, of numbers between blanks or commas); else its degree one-hot, all above ``max_degree`` as one. ``label``: the node
    attribute that is a node's label. One graph trains as a whole, and validation is the same graph under masks of its own; of
    several a share ``val_fraction`` by a hash of the file's name validates.
    """

    def __init__(
        self,
        path: Any,
        values: tuple[str, ...] = (),
        label: str = "y",
        val_fraction: float = 0.05,
        max_degree: int = MOST_DEGREE,
    ) -> None:
        super().__init__(max_degree, val_fraction)
        self.path, self.values, self.label = path, values, label

    def _read(self) -> list[Record]:
        if not isinstance(self.path, str | Path):
            found: list[tuple[str, str | None, Any]] = [(f"graph {i}", None, graph) for i, graph in enumerate(self.path)]
        else:
            root = Path(self.path)
            files = [root] if root.is_file() else files_at(str(root), lambda f: f.suffix.lower() in ENDINGS, self.note)
            found = [
                (str(file), file.parent.name if file.parent != root and file != root else None, _open(file)) for file in files
            ]
        if not found:
            raise UserError(f"data path {self.path} has no file ending in {', '.join(ENDINGS)}")
        name = str(self.path) if isinstance(self.path, str | Path) else "data.path"
        records = self.said([self._record(*one) for one in found], name)
        valued = all_or_none([given for _, _, given in found], [key for key, _, _ in found])
        return records if valued else self.by_degree(records, name)

    def _record(self, key: str, folder: str | None, given: Any) -> Record:
        if not hasattr(given, "nodes"):
            raise UserError(f"{key} is a {type(given).__name__}; expected a graph of NetworkX")
        for name, of in given.nodes(data=True):
            try:
                if self.values:
                    of["x"] = [float(of[value]) for value in self.values]
                elif isinstance(of.get("x"), str):
                    of["x"] = [float(number) for number in of["x"].strip("[] ").replace(",", " ").split()]
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{key}: node {name!r} has no numbers for its values ({error})") from None
        try:
            graph = convert(given)
        except BadSample as error:
            raise UserError(f"{key}: {error}") from None
        labels = token_labels(given, self.label)
        if labels is None or folder is not None:
            return Record(graph, key, folder, {} if labels is None else {"token_labels": labels})
        return Record(graph, key, labels)


def _open(file: Path) -> Any:
    nx = require("networkx", "graph")
    if file.suffix.lower() not in ENDINGS:
        raise UserError(f"{file} cannot be read as a graph; expected a file ending in {', '.join(ENDINGS)}")
    try:
        if file.suffix.lower() == ".json":
            return _node_link(nx, json.loads(file.read_text(encoding="utf-8-sig")))
        graph = getattr(nx, f"read_{file.suffix.lower().lstrip('.')}")(file)
        return graph if file.suffix.lower() == ".gml" else _all_listed(graph, _xml_nodes(file))
    except Exception as error:  # parsers of four formats raise what they like
        raise UserError(f"{file} cannot be read as a graph: {one_line(str(error))}") from None


def _xml_nodes(file: Path) -> list[str | None]:
    """Ids of the node elements of GraphML or GEXF."""
    return [part.get("id") for _, part in ElementTree.iterparse(file) if part.tag.rpartition("}")[2] == "node"]


def _all_listed(graph: Any, listed: Sequence[Any]) -> Any:
    """NetworkX makes nodes of whatever edges name (its reader of GML does not); here an edge to a node that is not listed is an
    error."""
    known = set(listed)
    for name in graph:
        if name not in known:
            raise ValueError(f"an edge names node {name!r}, which is not among its {len(known)} nodes")
    return graph


def _node_link(nx: Any, content: Any) -> Any:
    """Edges are ``edges`` or, as NetworkX wrote them before 3.6, ``links``."""
    if not isinstance(content, dict) or "nodes" not in content or not content.keys() & {"edges", "links"}:
        raise ValueError("expected an object with nodes, and edges or links")
    graph = nx.node_link_graph(content, edges="edges" if "edges" in content else "links")
    return _all_listed(graph, list(graph)[: len(content["nodes"])])
