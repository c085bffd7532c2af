"""Encoders: from tokens to vectors. One block per file; the file name is the block's name in a recipe."""

from __future__ import annotations

from maskedmod.core.blocks.encoder import Encoder

__all__ = ["Encoder"]
