"""Teachers: networks that give targets or guide masks. One block per file; the file name is its name in a recipe."""

from __future__ import annotations

from maskedmod.core.blocks.teacher import Teacher

__all__ = ["Teacher"]
