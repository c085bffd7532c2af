"""Molecules as graphs of atoms and bonds: ``MolecularGraph`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskedmod.support.lazy import lazily

if TYPE_CHECKING:  # for editors and type checkers
    from maskedmod.support.lazy import model, models

    from .adapter import MolecularGraph
    from .features import PRETRAIN_GNNS, Features
    from .picture import formula
    from .reading import molecule_of, smiles_of

_HOME = {
    "Features": "features",
    "MolecularGraph": "adapter",
    "PRETRAIN_GNNS": "features",
    "formula": "picture",
    "molecule_of": "reading",
    "smiles_of": "reading",
}

__all__ = ["PRETRAIN_GNNS", "Features", "MolecularGraph", "formula", "model", "models", "molecule_of", "smiles_of"]

__getattr__, __dir__ = lazily(__name__, _HOME)
