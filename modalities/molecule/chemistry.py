"""What RDKit knows of a SMILES string: whether it is one, its canonical and its random forms, scaffolds, fingerprints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from maskedmod.core.modality import BadSample
from maskedmod.errors import one_line
from maskedmod.support.compat import require

ARROW = re.compile(r"(?<!-)>")
"""One that parts the molecules of a reaction; ``->`` is a dative bond."""


def joined(smiles: str) -> str:
    """A reaction ``A.B>C>D`` as one string of all its molecules, atoms in their order; a molecule stays as it is."""
    parts = ARROW.split(smiles)
    return ".".join(part for part in parts if part) if len(parts) == 3 else smiles


def parse(smiles: str) -> Any:
    """The molecule, explicit hydrogens removed as RDKit does; of a reaction all its molecules. BadSample says why there is
    none."""
    if arrows := len(ARROW.findall(smiles)):
        if arrows != 2:
            raise BadSample(f"{_short(smiles)!r} has {arrows} arrows; a reaction is written A.B>>C or A>B>C")
        smiles = joined(smiles)
    chem, base = require("rdkit.Chem", "molecule"), require("rdkit.rdBase", "molecule")
    with base.BlockLogs():
        molecule = chem.MolFromSmiles(smiles, sanitize=False)
        if molecule is None or molecule.GetNumAtoms() == 0:
            raise BadSample(f"{_short(smiles)!r} cannot be read as SMILES")
        try:
            chem.SanitizeMol(molecule)
            return chem.MolFromSmiles(smiles)
        except ValueError as error:
            raise BadSample(f"{_short(smiles)!r} is no possible molecule: {one_line(str(error))}") from None


def is_entry(text: str) -> bool:
    """Whether a text is an entry of an SDF file and no SMILES."""
    return "\n" in text.strip()


def entry(text: str) -> Any:
    """The molecule of a connection table, V2000 or V3000. BadSample says why there is none."""
    chem, base = require("rdkit.Chem", "molecule"), require("rdkit.rdBase", "molecule")
    with base.BlockLogs():
        try:
            unchecked = chem.MolFromMolBlock(text, sanitize=False, removeHs=False)
        except (ValueError, RuntimeError) as error:
            raise BadSample(f"cannot be read as an SDF entry: {one_line(str(error))}") from None
        if unchecked is None:
            raise BadSample("cannot be read as an SDF entry: expected a connection table V2000 or V3000")
        if unchecked.GetNumAtoms() == 0:
            return unchecked
        try:
            chem.SanitizeMol(unchecked)
        except ValueError as error:
            raise BadSample(f"is no possible molecule: {one_line(str(error))}") from None
        return chem.MolFromMolBlock(text)


def canonical(molecule: Any) -> str:
    """RDKit's canonical SMILES, with stereochemistry."""
    return str(require("rdkit.Chem", "molecule").MolToSmiles(molecule))


def randomised(molecule: Any, seed: int) -> str:
    """The same molecule written from another atom on, in an order that ``seed`` alone decides (Bjerrum 2017; Arus-Pous et al.
    2019)."""
    chem = require("rdkit.Chem", "molecule")
    return str(chem.MolToRandomSmilesVect(molecule, 1, randomSeed=seed % (2**31 - 1) + 1)[0])


@lru_cache(maxsize=1 << 17)
def scaffold(smiles: str, chirality: bool) -> str:
    """SMILES of the Bemis-Murcko scaffold: rings and what links them; empty for a molecule without a ring. ``chirality``: two
    scaffolds that differ in stereochemistry alone are two."""
    murcko = require("rdkit.Chem.Scaffolds.MurckoScaffold", "molecule")
    return str(murcko.MurckoScaffoldSmiles(mol=parse(smiles), includeChirality=chirality))


def fingerprint(smiles: str, bits: int = 1024, radius: int = 2) -> np.ndarray[Any, Any]:
    """Morgan fingerprint of ``radius`` bonds, float32 ``[bits]`` of zeros and ones (Rogers and Hahn 2010: ECFP4)."""
    made = require("rdkit.Chem.rdFingerprintGenerator", "molecule").GetMorganGenerator(radius=radius, fpSize=bits)
    return np.asarray(made.GetFingerprintAsNumPy(parse(smiles)), np.float32)


def fingerprints(smiles: Sequence[str]) -> np.ndarray[Any, Any]:
    """The same of several molecules, float32 ``[S, 1024]``."""
    return np.stack([fingerprint(one) for one in smiles])


def _short(smiles: str) -> str:
    return smiles if len(smiles) <= 80 else f"{smiles[:77]}..."
