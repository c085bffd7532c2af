"""A contrast with a queue, its keys, and a teacher with a mask of its own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from maskedmod.core.context import Context
from maskedmod.core.spec import Spec
from maskedmod.losses.queue_contrast import QueueContrast
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve

SPEC = Spec(values=6, axes=3, width=8, target=4)
SMALL = [
    "recipe=mask_point", "preset=moco,demo", "encoder.depth=1", "encoder.width=12", "modality.points=64", "modality.groups=8",
    "modality.group_size=8", "objectives.contrast.target.width=6", "objectives.contrast.head.hidden=6",
    "objectives.contrast.loss.size=5", "objectives.contrast.target.momentum=0.5", "teacher.momentum=0.5",
]  # fmt: skip


def test_cross_entropy_with_the_own_key_as_answer() -> None:
    loss, query, key = QueueContrast(SPEC, 7, 0.2).eval(), torch.randn(3, 4), torch.randn(3, 4)
    q, k = F.normalize(query, dim=1), F.normalize(key, dim=1)
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ loss.queue.T], dim=1) / 0.2
    torch.testing.assert_close(loss(query, key), F.cross_entropy(logits, torch.zeros(3, dtype=torch.long)))
    loss.after_step(Context())
    assert not loss.next, "validation puts nothing into the queue"


def test_the_oldest_keys_make_room() -> None:
    """Places go round, of more keys than places the last stay, and a step is compared with earlier ones only."""
    loss = QueueContrast(SPEC, 5).train()
    before = loss.queue.clone()
    keys = [F.normalize(torch.randn(count, 4), dim=1) for count in (3, 4, 8)]
    loss(torch.randn(3, 4), keys[0])
    assert torch.equal(loss.queue, before)
    loss.after_step(Context())
    torch.testing.assert_close(loss.queue, torch.cat([keys[0], before[3:]]))
    loss(torch.randn(4, 4), keys[1])
    loss.after_step(Context())
    torch.testing.assert_close(loss.queue, torch.cat([keys[1][2:], keys[0][2:], keys[1][:2]]))
    assert int(loss.next) == 2
    loss(torch.randn(8, 4), keys[2])
    loss.after_step(Context())
    assert torch.cdist(loss.queue, keys[2][3:]).amin(0).max() < 1e-3 and int(loss.next) == 2
    for wrong in ({"size": 0}, {"temperature": 0.0}):
        with pytest.raises(ValueError, match="queue_contrast"):
            QueueContrast(SPEC, **wrong)  # type: ignore[arg-type]


def test_keys_follow_the_head_and_see_a_mask_of_their_own() -> None:
    model = build_model(resolve(SMALL)).train()
    contrast, teacher = model.objectives["contrast"], model.teacher
    own, theirs = contrast.target.head.layers[0].weight, contrast.head.layers[0].weight  # type: ignore[operator, union-attr]
    assert torch.equal(own, theirs) and not own.requires_grad and own is not theirs
    with torch.no_grad():
        theirs.add_(1.0)
    model.after_step(Context())
    torch.testing.assert_close(own, theirs - 0.5)
    ctx = Context(generator=torch.Generator().manual_seed(0))
    heard = []
    assert teacher is not None
    teacher.encoder.register_forward_hook(lambda module, given, out: heard.append(given[0].index))  # type: ignore[operator, union-attr]
    losses = model({"cloud": torch.randn(3, 64, 3)}, ctx)
    view = model.step({"cloud": torch.randn(3, 64, 3)}, ctx).views["main"]
    assert torch.isfinite(losses["contrast"]) and not torch.equal(heard[-1].sort().values, view.mask.keep.sort().values)
    losses["loss"].backward()
    model.after_step(ctx)
    assert int(contrast.loss.next) == 3  # type: ignore[operator, union-attr]
    own_mean = teacher.encoder.embed.norm1.running_mean.clone()  # type: ignore[operator, union-attr]
    assert own_mean.any(), "it measures batches"
    model.encoder.embed.norm1.running_mean.fill_(7.0)  # type: ignore[operator, union-attr]
    model.after_step(ctx)
    assert torch.equal(own_mean, teacher.encoder.embed.norm1.running_mean)  # type: ignore[operator, union-attr]
