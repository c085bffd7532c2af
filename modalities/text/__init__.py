"""Plain text as packed word pieces: ``Text`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers
    from .adapter import Text
    from .named import model, models

_HOME = {"Text": "adapter", "model": "named", "models": "named"}

__all__ = ["Text", "model", "models"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
