"""Something inside a teacher."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.core.tokens import take


class Tap(Target):
    """A tensor by the name that the teacher's encoder gives it, as wide as its output: ``projection``, what its projector makes
    of every token (GraphMAE2, Hou et al. 2023, section 3.3). ``at``: the objective's region, or the ``seeds``, nodes that a part
    of a graph was drawn around, hidden or not (its released code on large graphs)."""

    needs_teacher = True

    def __init__(self, spec: Spec, name: str = "projection", at: Literal["region", "seeds"] = "region") -> None:
        super().__init__()
        if not spec.teacher:
            raise ValueError("target=tap needs a teacher; add teacher=ema or another")
        self.at = at
        self.name, self.width, self.teacher_taps = name, spec.teacher, (name,)

    def places(self, step: Step, view: str, where: Where) -> Where:
        """The region, or the seeds. ValueError for a batch without them."""
        if self.at == "region":
            return where
        if "seeds" not in step.batch:
            raise ValueError("target=tap with at=seeds needs parts of graphs, modality.neighbours=[10,10]; else say at=region")
        return Where(step.batch["seeds"].nonzero()[:, 0])

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> ``[M, J, T, D]`` (packed ``[T, D]``)."""
        teacher = step.views[view].teacher
        if where.index is None:
            raise ValueError("target=tap describes tokens; region=pooled has none")
        assert teacher is not None
        return take(teacher.taps[self.name].float(), where.index)
