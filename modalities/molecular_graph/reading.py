"""From a record to an RDKit molecule: SMILES, the text of an SDF entry, or a molecule of RDKit itself."""

from __future__ import annotations

from typing import Any

from maskedmod.core.modality import BadSample, written
from maskedmod.errors import one_line
from maskedmod.support.compat import require

from ..molecule.chemistry import canonical, parse


def molecule_of(data: Any) -> Any:
    """The molecule with its hydrogens implicit. BadSample says why there is none, or that it has no atom."""
    if hasattr(data, "GetAtoms"):
        found = data
    elif _is_entry(text := written(data, "a SMILES string, the text of an SDF entry or an RDKit molecule")):
        found = _entry(text)
    else:
        found = parse(text.strip())
    if found.GetNumAtoms() == 0:
        raise BadSample("has no atom")
    return found


def smiles_of(data: Any, molecule: Any = None) -> str:
    """The SMILES of a record's data, as it is written where it is written as one, else in RDKit's canonical form. ``molecule``:
    what ``molecule_of`` gave for it, so that nothing is read twice."""
    if isinstance(data, str | bytes) and not _is_entry(text := written(data, "a SMILES string")):
        return text.strip()
    return canonical(molecule_of(data) if molecule is None else molecule)


def _is_entry(text: str) -> bool:
    return "\n" in text.strip()


def _entry(text: str) -> Any:
    """A connection table, V2000 or V3000."""
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
