"""What every target promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.step import Step, View


class Target(nn.Module, ABC):
    """Base of targets, built as ``block(spec, **arguments)``.

    ``width``: values per position, or number of classes when ``discrete``. ``teacher_taps``: taps the teacher must give.
    ``fixed``: a target is the same everywhere by definition, which is no collapse.
    ``unordered``: a target is a set, which only the loss can compare with a prediction.
    ``note``: added to a picture's caption where drawing the prediction needs true values.
    """

    width: int
    discrete: bool = False
    fixed: bool = False
    unordered: bool = False
    teacher_taps: Sequence[str] = ()
    needs_teacher: bool = False
    note: str = ""

    @abstractmethod
    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """Target values at ``where``: dense ``[M, J, T, P]`` (ids ``[M, J, T]``), packed ``[T, P]`` (``[T]``). No gradient."""

    def bind(self, head: Head) -> None:
        """Called once when the model is put together; for targets that follow the objective's head."""

    def places(self, step: Step, view: str, where: Where) -> Where:
        """What this target describes: the tokens of the region (``where``, default), or places of its own."""
        return where

    def restore(self, values: Tensor, view: View) -> Tensor | None:
        """Predicted target values ``[M, N, P]`` -> token values that the modality can draw, None when there is no way."""
        return None
