"""Something inside a teacher."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.core.tokens import take


class Tap(Target):
    """A tensor by the name that the teacher's encoder gives it, as wide as its output: ``projection``, what its projector makes
    of every token (GraphMAE2, Hou et al. 2023, section 3.3)."""

    needs_teacher = True

    def __init__(self, spec: Spec, name: str = "projection") -> None:
        super().__init__()
        if not spec.teacher:
            raise ValueError("target=tap needs a teacher; add teacher=ema or another")
        self.name, self.width, self.teacher_taps = name, spec.teacher, (name,)

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> ``[M, J, T, D]`` (packed ``[T, D]``)."""
        teacher = step.views[view].teacher
        if where.index is None:
            raise ValueError("target=tap describes tokens; region=pooled has none")
        assert teacher is not None
        return take(teacher.taps[self.name].float(), where.index)
