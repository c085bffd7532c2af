"""Vectors of a codebook in the place of an encoder's own."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from maskedmod.core.latent import Latent

TAPS = ("vectors", "codes", "code_vectors")
"""What a quantised latent always has."""


def quantised(latent: Latent, x: Tensor, codes: Tensor, book: Tensor) -> Latent:
    """``latent`` with the vectors that ``codes`` have in ``book`` ``[K, D]`` as tokens; their gradient passes straight to the
    encoder's own vectors ``x``."""
    vectors = book[codes]
    taps = dict(zip(TAPS, (x, codes, vectors), strict=True))
    return replace(latent, tokens=x + (vectors - x).detach(), taps={**latent.taps, **taps})
