"""Proteins as packed sequences of residues: ``Protein`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskedmod.support.lazy import lazily

if TYPE_CHECKING:  # for editors and type checkers
    from maskedmod.support.lazy import model, models

    from .adapter import Protein
    from .alphabets import alphabet
    from .reading import Rules

_HOME = {"Protein": "adapter", "alphabet": "alphabets", "Rules": "reading"}

__all__ = ["Protein", "Rules", "alphabet", "model", "models"]

__getattr__, __dir__ = lazily(__name__, _HOME)
