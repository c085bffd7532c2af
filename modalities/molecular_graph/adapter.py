"""The adapter: from SMILES and SDF to atoms with their bonds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from maskedmod.core.context import Context
from maskedmod.core.modality import Grouping, Modality, Panel, Record
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.data.graphs.graph import Graph
from maskedmod.layers.categories import CategoryEmbedding

from ..graph.packed import pack, unpack
from ..molecule.chemistry import fingerprints
from ..molecule.splits import scaffold_splits
from .features import NAMED
from .reading import molecule_of, smiles_of

Sample = tuple[Graph, str]
"""Atoms with their bonds, and the SMILES."""


class MolecularGraph(Modality):
    """Molecules as graphs: a token is an atom, an edge each direction of a bond; no hydrogens but those that RDKit keeps.

    ``features``: what is read of an atom and of a bond. ``pretrain_gnns`` (Hu et al. 2020): element and chirality; type and
    direction. An atom or a bond that has no such ids (``*``, a dative bond) makes a bad sample. SMILES, entries of SDF files and
    RDKit molecules are read alike.
    """

    text: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = ("smiles", "SMILES", "Smiles", "canonical_smiles", "mol", "molecule")

    def __init__(self, features: Literal["pretrain_gnns"] = "pretrain_gnns") -> None:
        super().__init__()
        if features not in NAMED:
            raise ValueError(f"modality.features={features!r}: accepted are {', '.join(NAMED)}")
        self.features = NAMED[features]

    @property
    def spec(self) -> Spec:
        """Ids of an atom and of a bond; ``values`` counts the former."""
        sizes = self.features.atom_sizes
        return Spec(values=len(sizes), axes=1, categories=sizes, edge_categories=self.features.bond_sizes)

    def read(self, record: Record) -> Sample:
        """BadSample names what cannot be read, and why."""
        molecule = molecule_of(record.data)
        return self.features.graph(molecule), smiles_of(record.data, molecule)

    def token_lengths(self, lengths: Tensor) -> Tensor:
        """No atom is shorter than a letter."""
        return lengths

    def collate(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """``nodes`` int64 ``[L, C]``, ``edge_index`` ``[2, E]`` sorted by target, ``edge_attr`` ``[E, Q]``, ``cu_seqlens``,
        ``max_seqlen``, and the strings as ``smiles``."""
        return {**pack([graph for graph, _ in samples]), "smiles": [smiles for _, smiles in samples]}

    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        return batch

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        """``main``: ids int64 ``[L, C]``, pos ``[L, 1]`` an atom's number in its molecule, bonds as the relation."""
        return {"main": unpack(batch)}

    def embedding(self, width: int) -> nn.Module:
        """The sum of a vector for each id."""
        return CategoryEmbedding(self.features.atom_sizes, width)

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        """Ids are the signal."""
        return values

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Panel]:
        """Structural formulas with the elements of ``values`` ``[L, C]``; hidden atoms are question marks on grey."""
        from .picture import panels

        return panels(values, tokens, hidden)

    def demo(self, split: str) -> Sequence[Record]:
        """4,991 molecules that come with RDKit, a tenth of them for ``val``; label: polar surface area."""
        from ..molecule.demo import records

        return records(split)

    def raw_features(self, batch: dict[str, Any]) -> Tensor:
        """Morgan fingerprints of radius 2, float32 ``[S, 1024]``."""
        return torch.from_numpy(fingerprints(batch["smiles"])).to(batch["nodes"].device)

    def groupings(self) -> Mapping[str, Grouping]:
        """The scaffold splits of the literature, which are four different ones, see docs/molecule.md."""
        return scaffold_splits(lambda record: smiles_of(record.data))

    def unit(self) -> str:
        """Throughput counts atoms."""
        return "atom"
