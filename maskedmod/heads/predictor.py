"""From a student's projection to a teacher's."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from maskedmod.core.blocks.head import Head, encoded_at
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View


class Predictor(Head):
    """PReLU and ``Linear(D, target)`` on the encoder's tap ``projection`` (GraphMAE2, Hou et al. 2023, section 3.3),
    which keeps student and teacher apart."""

    taps = ("projection",)
    reads_hidden = True

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.activation = nn.PReLU()
        self.pred = nn.Linear(spec.width, spec.target)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> packed ``[T, target]``."""
        if where.index is None or not view.mask.packed:
            raise ValueError("head=predictor predicts packed tokens")
        projected = replace(view.student, tokens=view.student.taps["projection"])
        return self.pred(self.activation(encoded_at(replace(view, student=projected), where)))
