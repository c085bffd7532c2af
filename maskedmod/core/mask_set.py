"""What a mask decided: roles of tokens, visible and hidden places, and who may attend to whom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from maskedmod.core.tokens import Tokens, take

VISIBLE, PREDICT, IGNORED, DROPPED = 0, 1, 2, 3
"""Roles of a token: seen; hidden and predicted; hidden and left out of the loss; neither encoded nor predicted."""

MASKED, RANDOM, KEPT = 1, 2, 3
"""Corruption codes of BERT-like input: replaced by the mask token; by another token; left as it is. 0 is untouched."""

Region = Literal["masked", "visible", "all", "pooled"]


@dataclass(frozen=True)
class Visibility:
    """Who may attend to whom, as a small value that a kernel understands, never an ``[N, N]`` field.

    ``causal``: token i sees tokens j <= i of its sequence. ``prefix``: the first ``prefix`` tokens are seen by all.
    ``order``: int ``[B, N]``, generation rank of every token (permuted orders, parallel segments): i sees j when
    ``order[j] < order[i]``, or at equal rank when ``same_rank``.
    """

    causal: bool = False
    prefix: int = 0
    order: Tensor | None = None
    same_rank: bool = True


@dataclass(frozen=True)
class Where:
    """Positions that a head predicts and a target describes.

    Dense: ``index`` int64 ``[M, J, T]`` into the N tokens; ``weight`` ``[M, J, T]`` (0 = padding of the list), None = all 1.
    Packed: ``index`` int64 ``[T]`` into the L tokens. ``index`` None means one pooled vector per sample, or with ``at``
    ``[M, J, T, A]`` places of the signal that are no tokens.
    """

    index: Tensor | None
    weight: Tensor | None = None
    at: Tensor | None = None


@dataclass
class MaskSet:
    """What a mask decided, for ``M = B*K`` rows. Made by mask blocks, or by hand (``from_noise``, ``from_masked``).

    ``role`` int8 ``[M, N]`` (packed ``[L]``); ``keep`` int64 ``[M, n]`` visible positions in the order the encoder gets
    them (packed ``[n]``), ``keep_valid`` bool ``[M, n]`` where counts differ; ``targets`` int64 ``[M, J, T]`` (packed
    ``[T]``), ``target_valid`` likewise. ``code`` int8 like role: BERT-like corruption. ``weight`` float like role: loss
    weight of every token. ``visibility``: autoregressive order. ``per_sample``: K. ``drops``: some roles are DROPPED (a plain
    bool, so that nobody reads the device to find out).
    What one family alone needs (mixing sources, generator samples, pyramids) is a subclass.
    """

    role: Tensor
    keep: Tensor
    targets: Tensor
    keep_valid: Tensor | None = None
    target_valid: Tensor | None = None
    code: Tensor | None = None
    weight: Tensor | None = None
    visibility: Visibility | None = None
    per_sample: int = 1
    drops: bool = False

    @property
    def packed(self) -> bool:
        return self.role.ndim == 1

    @property
    def hidden(self) -> Tensor:
        """bool like role: content the encoder must not see."""
        return self.role != VISIBLE

    def present(self, valid: Tensor | None) -> Tensor | None:
        """Valid tokens that were not dropped, None = all of them."""
        if not self.drops:
            return valid
        kept = self.role != DROPPED
        return kept if valid is None else valid & kept

    def rewrite(self, rows: Tokens) -> Tokens:
        """Tokens whose content the mask itself changed, before anything is gathered: the same here; a subclass mixes samples,
        adds noise, or puts in what a generator drew."""
        return rows

    def source(self, rows: Tokens) -> Tokens:
        """Tokens that the indices of this mask point into: rows, with their true content; a subclass adds some."""
        return rows

    def randomised(self, rows: Tokens, where: Tensor) -> Tokens:
        """Content of a random token of the batch at every place in ``where`` (drawn by torch's generator, seeded per step); a
        subclass puts in what it drew itself."""
        flat = rows.values.reshape(where.numel(), *rows.values.shape[where.ndim :])
        source = torch.randint(len(flat), (len(flat),), device=flat.device)
        pick = where.reshape(-1, *[1] * (flat.ndim - 1))
        return replace(rows, values=torch.where(pick, flat[source], flat).reshape(rows.values.shape))

    def at(self, level: int) -> MaskSet:
        """The same mask at a pyramid level; an isotropic mask has level 0 only."""
        if level != 0:
            raise ValueError(f"this mask has one level, level {level} was asked; use a multi_scale mask")
        return self

    def where(self, region: Region) -> Where:
        """Positions of a region with their loss weights."""
        if region == "pooled":
            return Where(None)
        if region == "masked":
            index, valid = self.targets, self.target_valid
        elif region == "visible":
            wide = None if self.keep_valid is None else self.keep_valid[:, None]
            index, valid = (self.keep, None) if self.packed else (self.keep[:, None], wide)
        else:
            n = self.role.shape[-1]
            index = torch.arange(n, device=self.role.device)
            valid = None
            if not self.packed:
                index = index.expand(self.role.shape[0], 1, n)
                valid = (self.role != DROPPED)[:, None]
        weight = None if valid is None else valid.float()
        if self.weight is not None:
            picked = take(self.weight, index)
            weight = picked if weight is None else picked * weight
        return Where(index, weight)

    def only(self, where: Where, number: int) -> Where:
        """Those of positions that belong to mask ``number`` of each sample, from 0; the others count for nothing. ValueError for
        a number that there is not, and for pooled vectors, of which losses choose themselves."""
        if where.index is None or not 0 <= number < self.per_sample:
            raise ValueError(f"mask {number} of {self.per_sample} masks per sample, region pooled or not: there is no such place")
        if self.packed:
            size = len(self.role) // self.per_sample  # the batch once for every mask
            mine = (where.index >= number * size) & (where.index < (number + 1) * size)
            return Where(where.index[mine], None if where.weight is None else where.weight[mine])
        row = torch.arange(len(self.role), device=self.role.device) % self.per_sample == number
        weight = row[:, None, None].expand(where.index.shape).float()
        return Where(where.index, weight if where.weight is None else weight * where.weight)
