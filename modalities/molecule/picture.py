"""Structural formulas as pictures, with some atoms marked."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from maskedmod.support.compat import require

from .chemistry import joined

SIZE = (360, 280)
MARK = (0.72, 0.72, 0.72)


def formula(smiles: str, marked: Sequence[int] = (), size: tuple[int, int] = SIZE) -> np.ndarray[Any, Any]:
    """uint8 ``[H, W, 3]``: the molecule (of a reaction, all of them) with the atoms numbered in ``marked`` on grey discs; the
    string itself, with a note, when RDKit cannot read it (what a model predicts need not be a molecule)."""
    chem, base = require("rdkit.Chem", "molecule"), require("rdkit.rdBase", "molecule")
    options = chem.SmilesParserParams()
    options.removeHs, options.sanitize = False, False
    with base.BlockLogs():
        molecule = chem.MolFromSmiles(joined(smiles), options)
        if molecule is None or molecule.GetNumAtoms() == 0:
            return _written(smiles, size)
        try:
            molecule.UpdatePropertyCache(False)
            chem.SanitizeMol(molecule, catchErrors=True)
            return drawn(molecule, marked, size)
        except (ValueError, RuntimeError):
            return _written(smiles, size)


def drawn(molecule: Any, marked: Sequence[int] = (), size: tuple[int, int] = SIZE) -> np.ndarray[Any, Any]:
    """A molecule of RDKit with some atoms on grey discs; where it has coordinates they stay."""
    draw2d = require("rdkit.Chem.Draw.rdMolDraw2D", "molecule")
    canvas = draw2d.MolDraw2DCairo(*size)
    canvas.drawOptions().prepareMolsBeforeDrawing = False
    if not molecule.GetNumConformers():
        require("rdkit.Chem.rdDepictor", "molecule").Compute2DCoords(molecule)
    atoms = [atom for atom in marked if atom < molecule.GetNumAtoms()]
    canvas.DrawMolecule(molecule, highlightAtoms=atoms, highlightAtomColors=dict.fromkeys(atoms, MARK), highlightBonds=[])
    canvas.FinishDrawing()
    return np.asarray(Image.open(BytesIO(canvas.GetDrawingText())).convert("RGB"))


def _written(smiles: str, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    picture = Image.new("RGB", size, "white")
    lines = [smiles[i : i + 48] for i in range(0, len(smiles), 48)][:16]
    ImageDraw.Draw(picture).multiline_text((8, 8), "\n".join(["no readable SMILES:", *lines]), fill="black")
    return np.asarray(picture)
