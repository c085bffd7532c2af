"""Codes that a teacher gives to tokens."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.mixed import Mixed
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.core.tokens import take


class TokenizerIds(Target):
    """The word that a tokenizer writes for every token, ``teacher=tokenizer`` or ``teacher=pretrained`` with the run of one
    (Mole-BERT, Xia et al. 2023, section 3.2; BEiT, Bao et al. 2022, section 2.3).

    ``labels``: ``codes``, the nearest vector of the codebook, as the paper has it; ``argmax``, the place of the largest value
    in the tokenizer's output, which never looks at the codebook, as the released code does. ``vocab``: number of
    classes, no fewer than there are codes or values. Tokens mixed from another view have the words they had there.
    """

    discrete = True
    needs_teacher = True

    def __init__(self, spec: Spec, labels: Literal["codes", "argmax"] = "codes", vocab: int = 512) -> None:
        super().__init__()
        if labels == "argmax" and spec.teacher > vocab:
            raise ValueError(f"target.vocab={vocab} is less than the {spec.teacher} values of the tokenizer's output")
        self.labels, self.width = labels, vocab

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> int64 ``[M, J, T]``, packed ``[T]``."""
        tokens = step.views[view].tokens
        mixed = tokens if isinstance(tokens, Mixed) else None
        teacher = step.views[view if mixed is None else mixed.of].teacher
        if teacher is None or "codes" not in teacher.taps or where.index is None:
            raise ValueError("target=tokenizer_ids describes tokens by the codes of teacher=tokenizer, or of a pretrained one")
        ids = teacher.taps["codes"] if self.labels == "codes" else teacher.taps["vectors"].argmax(-1)
        ids = ids if mixed is None else mixed.mix(ids)
        if ids.ndim > 1:
            return take(ids, where.index)
        return ids[where.index % len(ids)]  # packed rows are the batch once for every mask
