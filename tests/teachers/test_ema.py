"""The teacher that follows its student."""

from __future__ import annotations

import torch
from torch import nn

from maskedmod.core.context import Context
from maskedmod.core.spec import Spec
from maskedmod.encoders.gat import Gat
from maskedmod.teachers.ema import Ema

SPEC = Spec(values=4, axes=1)


def student() -> Gat:
    return Gat(SPEC, lambda width: nn.Linear(4, width), width=8, heads=2, norm="batch", sees="full")


def test_a_teacher_drops_what_its_student_drops_where_it_is_to() -> None:
    for drops in (False, True):
        teacher = Ema(SPEC, student(), in_training=drops).train()
        assert all(module.training == drops for module in teacher.encoder.modules())
        assert not any(module.training for module in teacher.eval().encoder.modules())


def test_buffers_are_the_students_unless_the_teacher_has_its_own() -> None:
    for drops in (False, True):
        one = student()
        teacher = Ema(SPEC, one, momentum=0.5, in_training=drops)
        with torch.no_grad():
            for tensor in [*one.parameters(), *one.buffers()]:
                tensor.add_(2)
        teacher.update(one, Context())
        mine, theirs = dict(teacher.encoder.named_buffers()), dict(one.named_buffers())
        assert all(torch.equal(mine[key], x) != drops for key, x in theirs.items())
        torch.testing.assert_close(teacher.encoder.state_dict()["layers.0.weight"], one.layers[0].weight.detach() - 1)
