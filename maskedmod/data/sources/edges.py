"""One graph as a table of edges, with a table of nodes and their features beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.core.modality import Record
from maskedmod.data.columns import label_column
from maskedmod.data.graphs.graph import read_graph
from maskedmod.data.graphs.node_features import MOST_DEGREE, sparse_rows
from maskedmod.data.graphs.source import GraphSource
from maskedmod.data.tables.edges import ends_of, first_named, read_edges
from maskedmod.data.tables.sheet import NO_NUMBER, Sheet, read_table
from maskedmod.errors import UserError, unknown

SPLIT = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}
"""Words of a split column."""


class Edges(GraphSource):
    """A text file (also ``.gz``) with one edge a row, whose ends ``columns`` name; by default columns called source and target,
    from and to or the like, else the first two that do not number the rows. Edges lie in both directions, or only from the first
    to the second where ``directed``.
    ``delimiter``: by default a comma (tab for ``.tsv``) where the first row has one, else a tab, a semicolon, or blanks; a blank
    stands for any number of blanks. ``header``: whether the first row holds column names, by default found from what it says;
    without one the columns are ``column 1`` and so on. Lines above that begin with ``#``, ``%`` or ``//`` are comments, of which
    the last may name the columns, as in files of SNAP.

    ``nodes``: a table of all nodes, whose names are in its first column or in ``node_column``; without it the nodes are those
    that occur. Values of a node: ``features``, a JSON object from node names to lists of feature numbers (``{"17": [3, 90]}``, as
    of MUSAE); else the columns ``value_columns`` of the node table; else its degree one-hot, all above ``max_degree`` as one.
    ``label_column`` of the node table, by default a usual name; ``split_column``: its words train, val and test are the
    split for evaluations. The graph trains as a whole, and validation is the same graph under masks of its own.
    """

    def __init__(
        self,
        path: str,
        nodes: str | None = None,
        features: str | None = None,
        columns: tuple[str, str] | None = None,
        node_column: str | None = None,
        value_columns: tuple[str, ...] = (),
        label_column: str | None = None,
        split_column: str | None = None,
        directed: bool = False,
        max_degree: int = MOST_DEGREE,
        delimiter: str | None = None,
        header: bool | None = None,
    ) -> None:
        super().__init__(max_degree)
        self.delimiter, self.header = delimiter, header
        needs_table = {"node_column": node_column, "value_columns": value_columns, "label_column": label_column,
                       "split_column": split_column}  # fmt: skip
        if nodes is None and (asked := next((key for key, value in needs_table.items() if value), None)):
            raise UserError(f"data.{asked} is about a table of nodes; give it with data.nodes=FILE")
        if features and value_columns:
            raise UserError("data.features and data.value_columns are two ways to say what nodes carry; give one")
        self.path, self.nodes, self.features, self.columns = path, nodes, features, columns
        self.node_column, self.value_columns, self.label_column = node_column, value_columns, label_column
        self.split_column, self.directed = split_column, directed

    def _read(self) -> list[Record]:
        sheet = read_edges(Path(self.path), self.delimiter, self.header, self.columns, self.note)
        if sheet.blank:
            self.note(f"{self.path}: {len(sheet.blank)} blank lines or comments among the edges left out")
        ends = self._ends(sheet)
        table = None if self.nodes is None else read_table(Path(self.nodes), None)
        lists = None if self.features is None else _lists(Path(self.features))
        number = self._names(table, lists, ends)
        edges = np.array([_numbers(side, number, self.path, sheet.places) for side in ends], np.int64)
        values = self._values(table, lists, number)
        given = np.ones((len(number), 1), np.float32) if values is None else values
        graph = read_graph(self.path, {"nodes": given, "edges": edges, "undirected": not self.directed}, self.note)
        records = [Record(graph, self.path, self._labels(table), self._parts(table))]
        return self.by_degree(records, self.path) if values is None else records

    def _ends(self, sheet: Sheet) -> list[list[str]]:
        columns = self.columns or ends_of(sheet, self.note)
        if columns[0] == columns[1]:
            raise UserError(f"data.columns={list(columns)}: expected the two ends of an edge")
        if others := [name or "without a name" for name in sheet.names if name not in columns]:
            self.note(f"{self.path}: columns {', '.join(others)} are not read")
        ends = [[cell.strip() for cell in _cells(sheet, name, self.path)] for name in columns]
        for column, cells in zip(columns, ends, strict=True):
            if "" in cells:
                raise UserError(
                    f"{self.path} row {sheet.places[cells.index('')]}: {column} is empty; expected the name of a node"
                )
        return ends

    def _names(self, table: Sheet | None, lists: Mapping[str, Any] | None, ends: list[list[str]]) -> dict[str, int]:
        """Number of every node, by its name: in the order of the table, else sorted (numbers as numbers)."""
        if table is not None:
            names = [cell.strip() for cell in _cells(table, self.node_column or first_named(table), str(self.nodes))]
        else:
            found = {*ends[0], *ends[1], *(lists or ())}
            names = sorted(found, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
        number = {name: i for i, name in enumerate(names)}
        if len(number) < len(names):
            seen: set[str] = set()
            twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            raise UserError(f"{self.nodes}: node {twice!r} is there twice")
        return number

    def _values(self, table: Sheet | None, lists: Mapping[str, list[int]] | None, number: Mapping[str, int]) -> Any:
        """Values ``[n, P]`` of the nodes; None where degrees are to be taken."""
        if lists is not None:
            if strange := next((name for name in lists if name not in number), None):
                raise UserError(f"{self.features} has features of node {strange!r}, which {self.nodes} does not have")
            if without := sum(name not in lists for name in number):
                self.note(f"{self.features}: {without} nodes have no features")
            if not any(lists.values()):
                raise UserError(f"{self.features} has no feature of any node")
            return sparse_rows([lists.get(name, []) for name in number])
        if not self.value_columns:
            return None
        assert table is not None
        columns = [_floats(_cells(table, name, str(self.nodes)), name, str(self.nodes), table) for name in self.value_columns]
        return np.array(columns, np.float32).T

    def _labels(self, table: Sheet | None) -> list[str | None] | None:
        if table is None:
            return None
        others = [name for name in table.names if name not in (self.node_column or first_named(table), self.split_column)]
        name = label_column(others, self.label_column, str(self.nodes))
        if name is None:
            return None
        cells = [cell.strip() for cell in table.cells(name)]
        return [None if cell.lower() in NO_NUMBER else cell for cell in cells]

    def _parts(self, table: Sheet | None) -> dict[str, Any]:
        if table is None or self.split_column is None:
            return {}
        words = [SPLIT.get(cell.strip().lower(), "") for cell in _cells(table, self.split_column, str(self.nodes))]
        parts = {part: np.flatnonzero([word == part for word in words]) for part in ("train", "val", "test")}
        if not len(parts["train"]) or not len(parts["test"]):
            raise UserError(f"{self.nodes}: column {self.split_column} has no row with train, or none with test")
        if left := words.count(""):
            self.note(f"{self.nodes}: {left} nodes are in no part of {self.split_column}, whose words are train, val and test")
        return {"parts": parts}


def _cells(sheet: Sheet, name: str, path: str) -> list[str]:
    if name not in sheet.names:
        raise unknown("column", name, sheet.names, f"in {path}")
    return sheet.cells(name)


def _numbers(names: list[str], number: Mapping[str, int], path: str, places: Sequence[int]) -> list[int]:
    try:
        return [number[name] for name in names]
    except KeyError:
        row = next(i for i, name in enumerate(names) if name not in number)
        raise UserError(f"{path} row {places[row]} names node {names[row]!r}, which the node table does not have") from None


def _floats(cells: list[str], column: str, path: str, table: Sheet) -> list[float]:
    found = []
    for row, cell in zip(table.places, cells, strict=True):
        try:
            found.append(float(cell))
        except ValueError:
            raise UserError(f"{path} row {row}: {column} is {cell!r}; expected a number") from None
    return found


def _lists(path: Path) -> dict[str, list[int]]:
    """Feature numbers of nodes by name."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} holds a {type(found).__name__}; expected an object from node names to lists of feature numbers")
    for name, row in found.items():
        if not isinstance(row, list) or not all(type(one) is int and one >= 0 for one in row):
            raise UserError(f"{path}: features of node {name!r} are {str(row)[:60]}; expected a list of whole numbers from 0 on")
    return found
