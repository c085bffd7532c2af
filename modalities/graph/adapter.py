"""Graphs as packed nodes with their edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.modality import BadSample, Modality, Panel, Record
from maskedmod.core.spec import Spec
from maskedmod.core.token_statistics import token_statistics
from maskedmod.core.tokens import Tokens
from maskedmod.data.graphs import graph as data
from maskedmod.data.graphs.objects import apart
from maskedmod.errors import UserError

from .packed import pack, unpack
from .reading import graph_of, is_graph, ready, ready_whole
from .sampling import induced, reached, seeds_of


class Graph(Modality):
    """Graphs, packed node after node; one token is one node.

    ``features``: numbers per node; null: as the training data have. ``normalize``: ``row`` divides a node's values by their sum
    (GraphMAE's setting on citation graphs). ``self_loops``: every node gets an edge to itself (graphs are read without them).
    ``neighbours``: a large graph trains in parts: ``seed_nodes`` nodes, at most ``neighbours[0]`` neighbours of each, at most
    ``neighbours[1]`` of each of these, and so on, with all edges between the nodes reached. A graph then counts as one sample
    for every ``seed_nodes`` nodes; which nodes these are is drawn anew in every epoch. Features come from whole graphs.
    UserError for values that do not fit.
    """

    columns = ("graph",)
    measured_on = 1

    def __init__(
        self,
        features: int | None = None,
        normalize: Literal["row", "none"] = "none",
        self_loops: bool = False,
        neighbours: tuple[int, ...] | None = None,
        seed_nodes: int = 512,
    ) -> None:
        super().__init__()
        if features is not None and features < 1:
            raise UserError(f"modality.features={features}: expected 1 or more, or null for what the data have")
        if neighbours is not None and (not neighbours or min(neighbours) < 1):
            raise UserError(f"modality.neighbours={list(neighbours)}: expected one number of 1 or more for every step")
        if seed_nodes < 1:
            raise UserError(f"modality.seed_nodes={seed_nodes}: expected 1 or more")
        self.features, self.normalize, self.self_loops = features, normalize, self_loops
        self.neighbours, self.seed_nodes = neighbours, seed_nodes
        self.held = None if neighbours is None else 1

    @property
    def spec(self) -> Spec:
        """Values per node on one axis, the node's number."""
        width = self.features or self.statistics.get("features")
        if width is None:
            raise UserError("how many values a node has is not known before data were read; give modality.features=")
        return Spec(values=int(width), axes=1)

    def divide(self, record: Record) -> Sequence[Record]:
        """With ``neighbours`` as many parts of a graph as it has ``seed_nodes``; else the graph."""
        if self.neighbours is None:
            return (record,)
        graph = graph_of(record.data)
        count = max(1, -(-len(graph) // self.seed_nodes))
        extra = {key: value for key, value in record.extra.items() if key not in ("parts", "token_labels")}
        return [
            Record(graph, f"{record.key} part {i}", None, {**extra, "clip": record.key, "part": (i, count)}) for i in range(count)
        ]

    def read(self, record: Record) -> data.Graph:
        """One graph or part of one, normalised, with self-loops where they are wanted. A part is drawn from the record's seed;
        held out and without a seed it is always the same."""
        graph = graph_of(record.data)
        width = int(graph.nodes.shape[1])
        wanted = self.features or self.statistics.get("features", width)
        if width != wanted:
            raise BadSample(f"has {width} values per node, expected {wanted}")
        if self.neighbours is None:
            return ready_whole(graph, self.normalize, self.self_loops)
        if "part" not in record.extra:
            return replace(ready_whole(graph, self.normalize, self.self_loops), seeds=np.ones(len(graph), bool))
        part, parts = record.extra["part"]
        seed = record.extra.get("seed", part)
        draw = np.random.default_rng(seed)
        free = "seed" in record.extra and not record.extra.get("held_out")
        seeds = seeds_of(len(graph), part, parts, draw if free else None)
        chosen = reached(graph, seeds, self.neighbours, draw)
        around = replace(induced(graph, chosen), seeds=np.isin(chosen, seeds))
        return ready(around, self.normalize, self.self_loops)

    def several(self, data: Any) -> Sequence[Any] | None:
        """A graph is one sample, though those of other packages can be passed through like lists; a batch of them is several."""
        return apart(data) if is_graph(data) else None

    def collate(self, samples: Sequence[data.Graph]) -> dict[str, Any]:
        """See ``packed.pack``."""
        return pack(samples)

    def measure(self, samples: Sequence[data.Graph]) -> dict[str, Any]:
        """``features`` where the recipe does not say."""
        return {"features": int(samples[0].nodes.shape[1])} if self.features is None else {}

    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """Nothing is left to do."""
        return dict(batch)

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        """View ``main``: packed nodes with their relation."""
        return {"main": unpack(batch)}

    def embedding(self, width: int) -> nn.Module:
        """Linear in the values."""
        return nn.Linear(self.spec.values, width)

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        """The values themselves."""
        return values

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Panel]:
        """One picture per graph: nodes coloured by their values, hidden ones grey."""
        from .picture import panels

        return panels(values, tokens, hidden)

    def demo(self, split: str) -> Sequence[Record]:
        """Generated communities and a real club, see ``demo.records``."""
        from .demo import records

        return records(split)

    def typical(self, count: int) -> Sequence[Record]:
        """Built-in graphs with as many values per node as the data have."""
        width = self.features or self.statistics.get("features")
        records = self.demo("val")[:count]
        if width is None:
            return records
        graphs = [replace(record.data, nodes=np.resize(record.data.nodes, (len(record.data), width))) for record in records]
        return [Record(graph, record.key) for graph, record in zip(graphs, records, strict=True)]

    def raw_features(self, batch: dict[str, Any]) -> Tensor:
        """Of every graph: mean and deviation of its nodes' values; logarithms of its numbers of nodes and edges; mean and
        deviation of the degree."""
        tokens = unpack(batch)
        assert tokens.relation is not None and tokens.layout.cu_seqlens is not None
        degree = torch.bincount(tokens.relation.edge_index[1], minlength=len(tokens.values)).float()[:, None]
        mean = Latent(degree, tokens.layout).mean()
        spread = (Latent(degree.square(), tokens.layout).mean() - mean.square()).clamp(min=0).sqrt()
        sizes = tokens.layout.cu_seqlens.diff().float()[:, None]
        return torch.cat([token_statistics(tokens, None), sizes.log(), (mean * sizes + 1).log(), mean, spread], dim=1)

    def unit(self) -> str:
        """Throughput counts nodes."""
        return "node"
