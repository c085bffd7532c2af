"""Molecules as SMILES strings, packed: ``Molecule`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskedmod.support.lazy import lazily

if TYPE_CHECKING:  # for editors and type checkers
    from maskedmod.support.lazy import model, models

    from .adapter import Molecule
    from .chemistry import canonical, fingerprint, parse, randomised, scaffold
    from .picture import formula
    from .training import train_tokenizer

_HOME = {
    "Molecule": "adapter",
    "canonical": "chemistry",
    "fingerprint": "chemistry",
    "parse": "chemistry",
    "randomised": "chemistry",
    "scaffold": "chemistry",
    "formula": "picture",
    "train_tokenizer": "training",
}

__all__ = [
    "Molecule",
    "canonical",
    "fingerprint",
    "formula",
    "model",
    "models",
    "parse",
    "randomised",
    "scaffold",
    "train_tokenizer",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
