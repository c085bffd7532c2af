"""Losses: how far off a prediction is. One block per file; the file name is the block's name in a recipe."""

from __future__ import annotations

from maskedmod.core.blocks.loss import Loss, Reduce, reduce_tokens

__all__ = ["Loss", "Reduce", "reduce_tokens"]
