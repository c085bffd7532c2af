"""Plain text as packed word pieces: ``Text`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskedmod.support.lazy import lazily

if TYPE_CHECKING:  # for editors and type checkers
    from maskedmod.support.lazy import model, models

    from .adapter import Text

_HOME = {"Text": "adapter"}

__all__ = ["Text", "model", "models"]

__getattr__, __dir__ = lazily(__name__, _HOME)
