"""Masks that somebody asks for: another ratio, another block, or the very places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MASKED, MaskSet
from maskedmod.core.masking import from_masked_rows, packed_from_masked
from maskedmod.core.model import MaskedModel
from maskedmod.core.tokens import Tokens
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_mask
from maskedmod.recipe.config import with_words


class Given(Mask):
    """Hides exactly the places in ``masked``, bool ``[N]`` (for every sample) or ``[B, N]``; a grid ``[..., H, W]`` is flattened.
    Of packed sequences bool ``[L]``, one after another with their ends. Padding and ends are never hidden; what is hidden is
    always the mask token. Raises UserError where the numbers of tokens or samples differ."""

    def __init__(self, masked: Any) -> None:
        super().__init__()
        self.masked = torch.as_tensor(masked)
        if self.masked.dtype != torch.bool:
            raise UserError(f"mask has the type {self.masked.dtype}; expected bool, True where a token is hidden")

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        """See the class."""
        masked = self._fitted(rows).to(rows.device)
        if rows.layout.packed:
            mask = packed_from_masked(masked if rows.eligible is None else masked & rows.eligible)
        else:
            mask = from_masked_rows(masked, rows)
        return replace(mask, code=torch.where(mask.hidden, MASKED, 0).to(torch.int8))

    def _fitted(self, rows: Tokens) -> Tensor:
        if rows.layout.packed:
            if self.masked.shape != rows.shape:
                told = f"mask has the shape {tuple(self.masked.shape)}; expected {list(rows.shape)}"
                raise UserError(f"{told}, all sequences one after another with their ends, as tokenize gives them")
            return self.masked
        b, n = rows.shape
        grid = rows.layout.grid or (n,)
        for shape in ((n,), tuple(grid)):
            if tuple(self.masked.shape) == shape:
                return self.masked.reshape(1, n).expand(b, n)
            if tuple(self.masked.shape) == (b, *shape):
                return self.masked.reshape(b, n)
        raise UserError(f"mask has the shape {tuple(self.masked.shape)}; expected [{n}], {list(grid)}, or {b} of such")


def mask_from_words(model: MaskedModel, tree: dict[str, Any], words: Sequence[str]) -> Mask:
    """The model's mask block with ``mask=NAME`` and ``mask.KEY=VALUE`` laid over it. UserError for other words."""
    for word in words:
        if not word.startswith(("mask=", "mask.")):
            raise UserError(f"{word!r}: only the mask can be changed here, with mask=NAME or mask.KEY=VALUE")
    return build_mask(with_words(tree, words), model.modality.spec)


@contextmanager
def masked_by(model: MaskedModel, mask: Mask | None) -> Iterator[None]:
    """The model with another mask block inside this block; None changes nothing."""
    own = model.mask
    model.mask = own if mask is None else mask
    try:
        yield
    finally:
        model.mask = own


@contextmanager
def evaluating(model: MaskedModel) -> Iterator[None]:
    """The model in eval mode inside this block, in its own mode afterwards."""
    was = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was)
