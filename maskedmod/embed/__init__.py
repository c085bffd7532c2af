"""Features of many inputs, written to a file. Streaming, resumable, in the order of the input."""

from __future__ import annotations

from maskedmod.embed.run import Embedded, embed

__all__ = ["Embedded", "embed"]
