"""Proteins as packed sequences of residues: ``Protein`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers
    from .adapter import Protein
    from .alphabets import alphabet
    from .named import model, models
    from .reading import Rules

_HOME = {"Protein": "adapter", "alphabet": "alphabets", "model": "named", "models": "named", "Rules": "reading"}

__all__ = ["Protein", "Rules", "alphabet", "model", "models"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
