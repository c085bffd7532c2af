"""The id of every token: words, residues, atoms."""

from __future__ import annotations

from torch import Tensor

from maskedmod.context import Step
from maskedmod.targets import Target
from maskedmod.tokens import Spec, Where, take


class TokenIds(Target):
    """Ids of the uncorrupted tokens (BERT: Devlin et al. 2019, section 3.1)."""

    discrete = True

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        if spec.vocab is None:
            raise ValueError("target=token_ids needs tokens that are ids; this modality has values, use target=raw")
        self.width = spec.vocab

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> int64 ``[M, J, T]`` (packed ``[T]``)."""
        if where.index is None:
            raise ValueError("target=token_ids describes tokens; region=pooled has none")
        return take(step.views[view].source.values, where.index)
