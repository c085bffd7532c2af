"""Targets: what is predicted. One block per file; the file name is the block's name in a recipe."""

from __future__ import annotations

from maskedmod.core.blocks.target import Target

__all__ = ["Target"]
