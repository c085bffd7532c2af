"""What an encoder's own vectors are quantised to."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.core.tokens import take


class NearestCodes(Target):
    """The code vector that stands for every token (van den Oord et al. 2017, section 3.2); its gradient reaches the codebook,
    through a loss that wants one (``loss=vq``). For encoders that give the tap ``code_vectors``."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.width = spec.width

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> ``[M, J, T, D]``, packed ``[T, D]``."""
        vectors = step.views[view].student.taps.get("code_vectors")
        if vectors is None or where.index is None:
            raise ValueError("target=nearest_codes needs tokens of an encoder with a codebook, such as gin_codes")
        return take(vectors, where.index)
