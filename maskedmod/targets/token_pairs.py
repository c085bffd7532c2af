"""The two ids of a pair of tokens as one class."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.core.tokens import take
from maskedmod.layers.pairing import partners


class TokenPairs(Target):
    """Joint identity of every predicted token and the next predicted one of its sequence (PMLM, He et al. 2021):
    ``kinds * kinds`` classes for the ids from ``first`` on (4 and 20: the residues of ESM's alphabet), and one more for pairs
    with any other id. ValueError where tokens are no ids, or have fewer of them."""

    discrete = True

    def __init__(self, spec: Spec, first: int = 4, kinds: int = 20) -> None:
        super().__init__()
        if spec.vocab is None or first < 0 or kinds < 1 or first + kinds > spec.vocab:
            raise ValueError(f"target=token_pairs: ids {first} to {first + kinds - 1} are not among those of this modality")
        self.first, self.kinds, self.width = first, kinds, kinds * kinds + 1

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> int64 ``[T]``, the class of the pair that every predicted token begins."""
        if where.index is None:
            raise ValueError("target=token_pairs describes tokens; region=pooled has none")
        source = step.views[view].source
        one = take(source.values, where.index) - self.first
        other = one[partners(where.index, source.layout)]
        usual = (one >= 0) & (one < self.kinds) & (other >= 0) & (other < self.kinds)
        return (one * self.kinds + other).where(usual, self.kinds * self.kinds)
