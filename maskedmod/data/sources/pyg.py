"""Data sets of PyTorch Geometric."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskedmod.core.modality import BadSample, Record
from maskedmod.data.graphs.node_features import MOST_DEGREE
from maskedmod.data.graphs.objects import all_or_none, apart, convert, known, token_labels
from maskedmod.data.graphs.source import GraphSource
from maskedmod.errors import UserError
from maskedmod.support.compat import require


class Pyg(GraphSource):
    """``dataset``: a class of ``torch_geometric.datasets`` by name, such as ``Planetoid`` or ``TUDataset``, built with
    ``arguments`` (``{root: data, name: Cora}``), which may download; in Python also a data set, a list of ``Data``,
    a ``Batch`` or one ``Data``. Values ``x`` of any type are read as numbers, and weights of edges are not read.

    One graph trains as a whole, its masks ``train_mask``, ``val_mask`` and ``test_mask`` go with it for evaluations, and
    validation is the same graph under masks of its own. Of many graphs a share ``val_fraction`` by a hash of their number
    validates. Nodes without ``x`` carry their degree, one-hot, all above ``max_degree`` as one.
    """

    def __init__(
        self,
        dataset: Any,
        arguments: dict[str, Any] | None = None,
        val_fraction: float = 0.05,
        max_degree: int = MOST_DEGREE,
    ) -> None:
        super().__init__(max_degree, val_fraction)
        self.dataset, self.arguments = dataset, arguments or {}

    def _open(self) -> Any:
        if not isinstance(self.dataset, str):
            return self.dataset
        datasets = require("torch_geometric.datasets", "graph")
        if not hasattr(datasets, self.dataset):
            raise UserError(f"data.dataset={self.dataset}: torch_geometric.datasets has no such data set")
        try:
            return getattr(datasets, self.dataset)(**self.arguments)
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            raise UserError(f"data.dataset={self.dataset} cannot be opened: {error}") from error

    def _read(self) -> list[Record]:
        given = self._open()
        name = self.dataset if isinstance(self.dataset, str) else type(given).__name__
        found = apart(given) if known(given) else [given[i] for i in range(len(given))]
        if not found:
            raise UserError(f"data.dataset={name} has no graph")
        records = []
        for i, one in enumerate(found):
            try:
                graph = convert(one)
            except BadSample as error:
                raise UserError(f"{name} graph {i}: {error}") from None
            records.append(_record(graph, one, f"{name} graph {i}"))
        self.said(records, name)
        return records if all_or_none(found, [record.key for record in records]) else self.by_degree(records, name)


def _record(graph: Any, given: Any, key: str) -> Record:
    """Label of the graph, or of its nodes where there are as many, with the split of its nodes."""
    labels = token_labels(given)
    masks = {part: getattr(given, f"{part}_mask", None) for part in ("train", "val", "test")}
    extra: dict[str, Any] = {}
    if all(mask is not None and mask.ndim == 1 for mask in masks.values()):
        extra["parts"] = {part: np.flatnonzero(mask.cpu().numpy()) for part, mask in masks.items()}  # type: ignore[union-attr]
    if labels is not None:
        return Record(graph, key, labels, extra)
    y = getattr(given, "y", None)
    several = None if y is None else y.flatten().tolist()
    return Record(graph, key, several[0] if several is not None and len(several) == 1 else several, extra)
