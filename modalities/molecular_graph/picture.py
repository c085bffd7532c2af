"""Structural formulas of molecular graphs, hidden atoms on grey."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskedmod.core.modality import Panel
from maskedmod.core.tokens import Tokens
from maskedmod.support.compat import require

from ..molecule.picture import drawn
from .features import BONDS

UNKNOWN = 118
"""From here on there is no element."""


def panels(values: Tensor, tokens: Tokens, hidden: Tensor | None) -> list[Panel]:
    """One formula a molecule of ids ``values`` ``[L, C]`` over the bonds of ``tokens``, at the places where the molecule of
    ``tokens`` itself has its atoms. Hidden atoms are question marks on grey."""
    cu, relation = tokens.layout.cu_seqlens, tokens.relation
    assert cu is not None and relation is not None and relation.attr is not None
    source, target = relation.edge_index.cpu()
    kind = relation.attr[:, 0].cpu()
    made = []
    for first, last in pairwise(cu.tolist()):
        mine = (target >= first) & (target < last) & (source < target)
        bonds = torch.stack([source[mine] - first, target[mine] - first, kind[mine]]).T.tolist()
        shape = _molecule(tokens.values[first:last, 0].tolist(), bonds)
        marked = [] if hidden is None else hidden[first:last].nonzero()[:, 0].tolist()
        elements = values[first:last, 0].long().tolist()
        for atom in marked:
            elements[atom] = UNKNOWN
        made.append(Panel(formula(elements, bonds, marked, shape), f"{last - first} atoms"))
    return made


def formula(
    elements: Sequence[int], bonds: Sequence[Sequence[int]], marked: Sequence[int] = (), shape: Any = None
) -> np.ndarray[Any, Any]:
    """uint8 ``[H, W, 3]``: atoms of ``elements`` (atomic number less one; from 118 on a question mark), ``bonds`` as source,
    target and type, those in ``marked`` on grey discs. ``shape``: a molecule that gives the places of the atoms."""
    molecule = _molecule(elements, bonds)
    if shape is not None and shape.GetNumAtoms() == molecule.GetNumAtoms():
        require("rdkit.Chem.rdDepictor", "molecule").Compute2DCoords(shape)
        molecule.AddConformer(shape.GetConformer())
    return drawn(molecule, marked)


def _molecule(elements: Sequence[int], bonds: Sequence[Sequence[int]]) -> Any:
    """An RDKit molecule that need not be a possible one: what a model predicts seldom is."""
    chem = require("rdkit.Chem", "molecule")
    made = chem.RWMol()
    for element in elements:
        atom = chem.Atom(element + 1 if element < UNKNOWN else 0)
        atom.SetNoImplicit(True)
        if element >= UNKNOWN:
            atom.SetProp("atomLabel", "?")
        made.AddAtom(atom)
    for source, target, kind in bonds:
        made.AddBond(source, target, getattr(chem.BondType, BONDS[kind]) if kind < len(BONDS) else chem.BondType.SINGLE)
    found = made.GetMol()
    found.UpdatePropertyCache(False)
    require("rdkit.Chem", "molecule").FastFindRings(found)
    return found
