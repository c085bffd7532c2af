"""A vocabulary of vectors in which every kind of atom has words of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

ELEMENTS = (5, 6, 7)
"""Carbon, nitrogen, oxygen as atomic number less one; each has a slice of the codebook, all other elements share the last."""


class ElementCodebook(nn.Module):
    """Codes of atoms by nearest vector (Xia et al. 2023, section 3.1). ``slices``: first code and one past the last of carbon,
    nitrogen, oxygen, and everything else. Vectors start normal with deviation 1."""

    def __init__(self, codes: int, width: int, slices: Sequence[Sequence[int]]) -> None:
        super().__init__()
        if len(slices) != len(ELEMENTS) + 1 or not all(0 <= first < last <= codes for first, last in slices):
            raise ValueError(f"codebook slices {list(slices)}: expected [first, last) within {codes} codes for C, N, O, others")
        self.vectors = nn.Parameter(torch.randn(codes, width))
        allowed = torch.zeros(len(slices), codes, dtype=torch.bool)
        for row, (first, last) in zip(allowed, slices, strict=True):
            row[first:last] = True
        self.register_buffer("allowed", allowed, persistent=False)
        self.register_buffer("elements", torch.tensor(ELEMENTS), persistent=False)
        self.allowed: Tensor
        self.elements: Tensor

    @torch.no_grad()
    def codes(self, x: Tensor, element: Tensor) -> Tensor:
        """Vectors ``[T, D]`` of atoms with ``element`` int64 ``[T]`` -> int64 ``[T]``."""
        same = element[:, None] == self.elements
        kind = torch.where(same.any(1), same.int().argmax(1), len(ELEMENTS))
        squares = self.vectors.square().sum(1) - 2 * x @ self.vectors.t()
        return squares.masked_fill(~self.allowed[kind], torch.inf).argmin(1)
