"""Graphs as packed nodes with their edges: ``Graph`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskedmod.support.lazy import lazily

if TYPE_CHECKING:  # for editors and type checkers
    from maskedmod.support.lazy import model, models

    from .adapter import Graph

_HOME = {"Graph": "adapter"}

__all__ = ["Graph", "model", "models"]

__getattr__, __dir__ = lazily(__name__, _HOME)
