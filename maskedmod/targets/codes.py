"""Ids that the batch brings along: labels of a visual or acoustic tokenizer, computed beforehand."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.core.tokens import take


class Codes(Target):
    """Class of every token from ``batch[key]``, int64 ``[B, N]`` with values below ``vocab`` (BEiT: Bao et al. 2022, section
    2.3: the codes of a discrete VAE, vocab 8192). Raises ValueError when the batch does not bring them."""

    discrete = True

    def __init__(self, spec: Spec, vocab: int = 8192, key: str = "labels") -> None:
        super().__init__()
        self.width, self.key = vocab, key

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> int64 ``[M, J, T]`` (packed ``[T]``)."""
        if where.index is None:
            raise ValueError("target=codes describes tokens; region=pooled has none")
        codes = step.batch.get(self.key)
        if codes is None:
            raise ValueError(f"target=codes: the batch has no {self.key!r}; expected the id of every token, int64 [B, N]")
        return take(codes.flatten(1) if codes.ndim > 1 else codes, where.index)
