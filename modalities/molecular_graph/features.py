"""What a model reads of an atom and of a bond: named featurisations, from an RDKit molecule to ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskedmod.core.modality import BadSample, altered
from maskedmod.data.graphs.graph import Graph, clean

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Features:
    """``atom`` and ``bond`` give the ids of one; ``atom_sizes`` and ``bond_sizes``: how many values each of these ids has."""

    atom: Callable[[Any], Ids]
    bond: Callable[[Any], Ids]
    atom_sizes: Ids
    bond_sizes: Ids

    def graph(self, molecule: Any) -> Graph:
        """Atoms as nodes in RDKit's order, every bond in both directions; a molecule without bonds is fine. BadSample for an atom
        or a bond that has no ids."""
        atoms = [self.atom(atom) for atom in molecule.GetAtoms()]
        bonds = list(molecule.GetBonds())
        ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds]
        attributes = [self.bond(bond) for bond in bonds]
        return clean(
            np.array(atoms, np.int64).reshape(-1, len(self.atom_sizes)),
            np.array(ends, np.int64).reshape(-1, 2).T,
            np.array(attributes, np.int64).reshape(-1, len(self.bond_sizes)),
            row="bond",
        )


BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
DIRECTIONS = ("NONE", "ENDUPRIGHT", "ENDDOWNRIGHT")
CHIRALITY = ("CHI_UNSPECIFIED", "CHI_TETRAHEDRAL_CW", "CHI_TETRAHEDRAL_CCW")


def _atom(atom: Any) -> Ids:
    number = atom.GetAtomicNum()
    if not 1 <= number <= 118:
        raise BadSample(f"atom {atom.GetIdx()} ({atom.GetSymbol()}) is no element")
    return number - 1, _place(str(atom.GetChiralTag()), CHIRALITY, "chirality")


def _bond(bond: Any) -> Ids:
    kind = str(bond.GetBondType())
    if kind not in BONDS:
        ends = f"{bond.GetBeginAtomIdx()} and {bond.GetEndAtomIdx()}"
        raise BadSample(f"the bond of atoms {ends} is {kind.lower()}; expected {', '.join(BONDS).lower()}")
    return BONDS.index(kind), _place(str(bond.GetBondDir()), DIRECTIONS, "direction of a bond")


def _place(value: str, known: Sequence[str], what: str) -> int:
    """Place of the value; one that has none counts as the first, that is unknown, and this is told."""
    if value in known:
        return known.index(value)
    altered(f"{what} {value} has no id and is left out")
    return 0


PRETRAIN_GNNS = Features(_atom, _bond, (119, 3), (4, 3))
"""Hu et al. 2020 (snap-stanford/pretrain-gnns, chem/loader.py). An atom: its atomic number less one (0 to 117; their tables have
one row more) and its chirality. A bond: its type and its direction. Hydrogens are atoms only where RDKit keeps them."""

NAMED = {"pretrain_gnns": PRETRAIN_GNNS}
