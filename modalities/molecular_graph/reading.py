"""From a record to an RDKit molecule: SMILES, the text of an SDF entry, or a molecule of RDKit itself."""

from __future__ import annotations

from typing import Any

from maskedmod.core.modality import BadSample, written

from ..molecule.chemistry import canonical, entry, is_entry, parse


def molecule_of(data: Any) -> Any:
    """The molecule with its hydrogens implicit. BadSample says why there is none, or that it has no atom."""
    if hasattr(data, "GetAtoms"):
        found = data
    elif is_entry(text := written(data, "a SMILES string, the text of an SDF entry or an RDKit molecule")):
        found = entry(text)
    else:
        found = parse(text.strip())
    if found.GetNumAtoms() == 0:
        raise BadSample("has no atom")
    return found


def smiles_of(data: Any, molecule: Any = None) -> str:
    """The SMILES of a record's data, as it is written where it is written as one, else in RDKit's canonical form. ``molecule``:
    what ``molecule_of`` gave for it, so that nothing is read twice."""
    if isinstance(data, str | bytes) and not is_entry(text := written(data, "a SMILES string")):
        return text.strip()
    return canonical(molecule_of(data) if molecule is None else molecule)
