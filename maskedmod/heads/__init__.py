"""Heads: from the latent to a prediction. One block per file; the file name is the block's name in a recipe."""

from __future__ import annotations

from maskedmod.core.blocks.head import Head, encoded_at

__all__ = ["Head", "encoded_at"]
