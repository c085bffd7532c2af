"""What becomes of hidden ids: the mask token, another id, or nothing (BERT-like input)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from torch import Tensor

from maskedmod.core.mask_set import KEPT, MASKED, RANDOM, VISIBLE, MaskSet
from maskedmod.core.masking import from_masked_rows
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens


@dataclass(frozen=True)
class Corruption:
    """Shares of hidden tokens that become the mask token, a random token, or stay (BERT: 0.8, 0.1, 0.1).

    ``draw``: where random ones come from: ``batch``, the content of any token of the batch; ``vocab``, every id alike (BERT); or
    ``[first, last]``, the ids in this range, both included (ESM: the residues); a negative last one counts from the end.
    """

    mask: float = 0.8
    random: float = 0.1
    keep: float = 0.1
    draw: Literal["batch", "vocab"] | tuple[int, int] = "batch"

    def __post_init__(self) -> None:
        if abs(self.mask + self.random + self.keep - 1.0) > 1e-6:
            raise ValueError(f"mask.corrupt: shares {self.mask}, {self.random}, {self.keep} do not sum to 1")

    def check(self, spec: Spec) -> None:
        """ValueError when ids are to be drawn that the tokens do not have."""
        if self.draw == "batch":
            return
        if spec.vocab is None:
            raise ValueError(f"mask.corrupt.draw={self.draw} needs a modality of ids")
        if not isinstance(self.draw, str) and not 0 <= self.draw[0] <= self._last(spec.vocab) < spec.vocab:
            raise ValueError(f"mask.corrupt.draw={list(self.draw)}: ids are 0 to {spec.vocab - 1}")

    def _last(self, vocab: int) -> int:
        last = self.draw[1]
        assert isinstance(last, int)
        return last + vocab if last < 0 else last

    def apply(self, mask: MaskSet, rows: Tokens, vocab: int | None, noise: Tensor, generator: torch.Generator | None) -> MaskSet:
        """The mask with its codes; ``noise`` in [0, 1) like role decides them."""
        code = torch.where(noise < self.mask, MASKED, KEPT)
        code = torch.where((noise >= self.mask) & (noise < self.mask + self.random), RANDOM, code)
        mask = replace(mask, code=torch.where(mask.hidden, code, 0).to(torch.int8))
        if self.draw == "batch" or self.random == 0.0:
            return mask
        assert vocab is not None
        low, high = (0, vocab - 1) if isinstance(self.draw, str) else (self.draw[0], self._last(vocab))
        ids = torch.randint(low, high + 1, rows.shape, generator=generator, device=rows.device)
        return Replaced(**{f.name: getattr(mask, f.name) for f in fields(MaskSet)}, ids=ids)


@dataclass
class Replaced(MaskSet):
    """A mask that drew the ids of its RANDOM places itself: ``ids`` int64 like role."""

    ids: Tensor | None = None

    def randomised(self, rows: Tokens, where: Tensor) -> Tokens:
        """rows with these ids at ``where``."""
        assert self.ids is not None
        return replace(rows, values=torch.where(where, self.ids, rows.values))


@dataclass
class Swapped(MaskSet):
    """A mask that exchanges vectors: RANDOM places get what the embedding makes of the tokens ``others`` int64 ``[M, N]``,
    numbers among all ``M * N`` of them, and no gradient goes there."""

    others: Tensor | None = None

    def randomised(self, rows: Tokens, where: Tensor) -> Tokens:
        """Nothing yet: the encoder does it (``exchange``)."""
        return rows

    def exchange(self, x: Tensor) -> Tensor:
        """Embedded tokens ``[M, N, D]`` -> the same with others at RANDOM places."""
        assert self.code is not None and self.others is not None
        other = x.detach().flatten(0, 1)[self.others]
        return torch.where((self.code == RANDOM)[..., None], other, x)


def swap(mask: MaskSet, where: Tensor, others: Tensor, rows: Tokens) -> Swapped:
    """The mask with the vectors of the visible tokens ``where`` bool ``[M, N]`` exchanged and predicted too."""
    where = where & (mask.role == VISIBLE)
    code = torch.where(mask.hidden, MASKED, 0) + torch.where(where, RANDOM, 0)
    wider = from_masked_rows(mask.hidden | where, rows, mask.per_sample)
    known = {f.name: getattr(wider, f.name) for f in fields(MaskSet)}
    return Swapped(**{**known, "code": code.to(torch.int8)}, others=others)


def swapped(mask: MaskSet, share: float, rows: Tokens, generator: torch.Generator | None) -> Swapped:
    """The same with a ``share`` of the visible tokens and random others (Point-BERT's released code, ``replace_pob``)."""
    noise = torch.rand(rows.shape, generator=generator, device=rows.device)
    others = torch.rand(noise.numel(), generator=generator, device=rows.device).argsort().view(rows.shape)
    return swap(mask, noise < share, others, rows)
