"""Optimisers: how weights change. One block per file; the file name is the block's name in a recipe."""

from __future__ import annotations

from maskedmod.core.blocks.optimizer import Optimizer

__all__ = ["Optimizer"]
