"""Molecules as SMILES strings, packed: ``Molecule`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers
    from .adapter import Molecule
    from .chemistry import canonical, fingerprint, parse, randomised, scaffold
    from .named import model, models
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
    "model": "named",
    "models": "named",
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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
