"""Plain text as packed word pieces: ``Text`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskedmod.support.lazy import lazily

if TYPE_CHECKING:  # for editors and type checkers
    from .adapter import Text
    from .named import model, models

_HOME = {"Text": "adapter", "model": "named", "models": "named"}

__all__ = ["Text", "model", "models"]

__getattr__, __dir__ = lazily(__name__, _HOME)
