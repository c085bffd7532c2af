"""Graphs as packed nodes with their edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from maskedmod.context import Context
from maskedmod.data import graph as data
from maskedmod.errors import UserError
from maskedmod.modality import BadSample, Modality, Panel, Record
from maskedmod.raw import token_statistics
from maskedmod.tokens import Latent, Spec, Tokens

from .embedding import CategoryEmbedding
from .packed import pack, unpack
from .reading import read

MOLECULE = (120, 3)
"""Atom types and chiralities of pretrain-gnns (Hu et al. 2020); the last atom type is that of a masked atom."""


class Graph(Modality):
    """Graphs, packed node after node; one token is one node.

    ``features``: numbers per node; null: as the training data have. ``kind``: ``values`` for nodes that carry numbers,
    ``molecule`` for SMILES or SDF with the featurisation of pretrain-gnns (Hu et al. 2020), whose nodes are two categories and
    whose edges two. ``normalize``: ``row`` divides a node's values by their sum (GraphMAE's setting on citation graphs).
    ``self_loops``: every node gets an edge to itself (graphs are read without), after all others of the same target.
    UserError for values that do not fit.
    """

    columns = ("smiles", "SMILES", "mol", "graph")

    def __init__(
        self,
        features: int | None = None,
        kind: Literal["values", "molecule"] = "values",
        normalize: Literal["row", "none"] = "none",
        self_loops: bool = False,
    ) -> None:
        super().__init__()
        if features is not None and features < 1:
            raise UserError(f"modality.features={features}: expected 1 or more, or null for what the data have")
        self.features, self.kind, self.normalize, self.self_loops = features, kind, normalize, self_loops

    @property
    def spec(self) -> Spec:
        """Values per node on one axis, the node's number; for molecules ids of two categories, of which atom types are the
        vocabulary."""
        if self.kind == "molecule":
            return Spec(values=len(MOLECULE), axes=1, vocab=MOLECULE[0])
        width = self.features or self.statistics.get("features")
        if width is None:
            raise UserError("how many values a node has is not known before data were read; give modality.features=")
        return Spec(values=int(width), axes=1)

    def read(self, record: Record) -> data.Graph:
        """One graph, normalised, with self-loops where they are wanted."""
        graph = read(record, self.kind, self.normalize, self.self_loops)
        if self.features is not None and graph.nodes.shape[1] != self.features and self.kind == "values":
            raise BadSample(f"has {graph.nodes.shape[1]} values per node, modality.features is {self.features}")
        return graph

    def collate(self, samples: Sequence[data.Graph]) -> dict[str, Any]:
        """See ``packed.pack``."""
        widths = {graph.nodes.shape[1] for graph in samples}
        if len(widths) > 1:
            raise BadSample(f"graphs of a batch have {sorted(widths)} values per node; expected the same number")
        return pack(samples)

    def measure(self, samples: Sequence[data.Graph]) -> dict[str, Any]:
        """``features`` where the recipe does not say."""
        return {} if self.features is not None or self.kind == "molecule" else {"features": int(samples[0].nodes.shape[1])}

    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """Nothing is left to do."""
        return dict(batch)

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        """View ``main``: packed nodes with their relation."""
        return {"main": unpack(batch)}

    def embedding(self, width: int) -> nn.Module:
        """Linear in the values; for categories the sum of one table each."""
        return CategoryEmbedding(MOLECULE, width) if self.kind == "molecule" else nn.Linear(self.spec.values, width)

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        """The values themselves."""
        return values

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Panel]:
        """One picture per graph: nodes coloured by their largest value, hidden ones grey."""
        from .picture import panels

        return panels(values, tokens, hidden)

    def demo(self, split: str) -> Sequence[Record]:
        """Generated communities and a real club, see ``demo.records``."""
        from .demo import records

        return records(split)

    def raw_features(self, batch: dict[str, Any]) -> Tensor:
        """Of every graph: mean and deviation of its nodes' values, or shares of every category; logarithms of its numbers of
        nodes and edges; mean and deviation of the degree."""
        tokens = unpack(batch)
        assert tokens.relation is not None and tokens.layout.cu_seqlens is not None
        degree = torch.bincount(tokens.relation.edge_index[1], minlength=len(tokens.values)).float()[:, None]
        mean = Latent(degree, tokens.layout).mean()
        spread = (Latent(degree.square(), tokens.layout).mean() - mean.square()).clamp(min=0).sqrt()
        sizes = tokens.layout.cu_seqlens.diff().float()[:, None]
        values = token_statistics(replace(tokens, values=tokens.values), self.spec.vocab).flatten(1)
        return torch.cat([values, sizes.log(), (mean * sizes + 1).log(), mean, spread], dim=1)

    def unit(self) -> str:
        """Throughput counts nodes."""
        return "node"
