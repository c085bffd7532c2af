"""Samples mixed token by token: their codes, keys and contrast; ratios of rows, exchanged vectors, weights that begin later."""

from __future__ import annotations

import pytest
import torch
from maskedmod.modalities.points import Points
from torch.nn import functional as F

from maskedmod.core.context import Context
from maskedmod.core.mask_set import RANDOM
from maskedmod.core.mixed import Mixed, cut_mixed
from maskedmod.core.schedules import Ramp
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.errors import UserError
from maskedmod.losses.queue_contrast import QueueContrast
from maskedmod.masks.neighborhood import Neighborhood
from maskedmod.masks.random import RatioSampler
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve

SMALL = [
    "recipe=point_bert", "preset=demo,cut_mix", "encoder.depth=1", "encoder.width=12", "encoder.heads=3", "modality.points=64",
    "modality.groups=8", "modality.group_size=8", "teacher.checkpoint=random", "objectives.contrast.target.width=6",
    "objectives.contrast.head.hidden=6", "objectives.contrast.loss.size=5",
]  # fmt: skip


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_tokens_come_from_the_mirrored_sample() -> None:
    tokens, share, noise = Tokens(torch.randn(3, 5, 2), torch.randn(3, 5, 1)), torch.rand(3), torch.rand(3, 5)
    mixed = cut_mixed(tokens, share, noise)
    for row in range(3):
        for place in range(5):
            of = row if noise[row, place] < share[row] else 2 - row
            assert torch.equal(mixed.values[row, place], tokens.values[of, place])
            assert torch.equal(mixed.pos[row, place], tokens.pos[of, place])
    codes = torch.randint(9, (3, 5))
    assert torch.equal(mixed.mix(codes), torch.where(noise < share[:, None], codes, codes.flip(0)))
    assert mixed.repeat(1) is mixed
    with pytest.raises(ValueError, match="one mask each"):
        mixed.repeat(2)


def test_contrast_of_mixed_samples() -> None:
    """Weighed between two answers among the keys of the batch and the queue; a whole sample has its own key and the queue."""
    loss = QueueContrast(Spec(values=6, axes=3, width=8, target=4), 7, 0.2).eval()
    query, key, share = torch.randn(3, 4), torch.randn(3, 4), torch.tensor([0.3, 1.0, 0.8])
    q, k = F.normalize(query, dim=1), F.normalize(key, dim=1)
    found = loss.per_token(query, torch.cat([key, share[:, None]], dim=1))
    logits = torch.cat([q @ k.T, q @ loss.queue.T], dim=1) / 0.2
    for row in (0, 2):
        own, other = (F.cross_entropy(logits[row], torch.tensor(answer)) for answer in (row, 2 - row))
        torch.testing.assert_close(found[row], share[row] * own + (1 - share[row]) * other)
    torch.testing.assert_close(found[1], loss.per_token(query, key)[1])


def test_mixed_views_have_codes_and_keys_of_what_they_are_mixed_from() -> None:
    model = build_model(resolve(SMALL)).train()
    ctx = Context(generator=generator())
    step = model.step({"cloud": torch.randn(4, 64, 3)}, ctx)
    main, mix = step.views["main"], step.views["mix"]
    assert isinstance(mix.tokens, Mixed) and mix.teacher is None and main.teacher is not None
    objective, contrast = model.objectives["main"], model.objectives["contrast"]
    every = main.mask.where("all")
    codes = [objective.target(step, view, every)[:, 0] for view in ("main", "mix")]  # type: ignore[operator, union-attr]
    assert torch.equal(codes[1], mix.tokens.mix(codes[0])) and not torch.equal(codes[0], codes[1])
    keys = [contrast.target(step, view, main.mask.where("pooled")) for view in ("main", "mix")]  # type: ignore[operator, union-attr]
    assert torch.equal(keys[0][:, :-1], keys[1][:, :-1]) and keys[0][:, -1].eq(1).all() and keys[1][:, -1].lt(1).all()
    losses = model.score(step)
    losses["loss"].backward()
    model.after_step(ctx)
    assert torch.isfinite(losses["loss"]) and int(contrast.loss.next) == 4  # type: ignore[operator, union-attr]
    with pytest.raises(UserError, match="cut_mix"):
        Points(64, 8, 8, coarser=((4, 2),), cut_mix=True)


def test_every_row_draws_its_own_ratio() -> None:
    spec, rows = Spec(values=1, axes=3, width=8, sees="mask_token"), Tokens(torch.zeros(64, 40, 1), torch.randn(64, 40, 3))
    counts = Neighborhood(spec, RatioSampler(0.25, 0.45), each=True)(rows, Context(generator=generator())).hidden.sum(1)
    assert counts.min() >= 10 and counts.max() <= 18 and len(counts.unique()) > 4
    with pytest.raises(ValueError, match=r"mask\.each"):
        Neighborhood(spec, 0.3, each=True)
    with pytest.raises(ValueError, match=r"mask\.swap"):
        Neighborhood(spec, 0.3, swap=0.2)


def test_exchanged_vectors_are_predicted_and_take_no_gradient() -> None:
    spec, rows = Spec(values=1, axes=3, width=8, sees="corrupt"), Tokens(torch.zeros(4, 12, 1), torch.randn(4, 12, 3))
    mask = Neighborhood(spec, 0.5, swap=0.4)(rows, Context(generator=generator()))
    exchanged = mask.code == RANDOM
    assert mask.hidden.sum() == 4 * 6 + exchanged.sum() and exchanged.any() and not (exchanged & ~mask.hidden).any()
    x = torch.randn(4, 12, 8, requires_grad=True)
    out = mask.exchange(x)  # type: ignore[attr-defined]
    assert torch.equal(out[exchanged], x.flatten(0, 1)[mask.others[exchanged]])  # type: ignore[attr-defined]
    assert torch.equal(out[~exchanged], x[~exchanged])
    out.sum().backward()
    assert x.grad is not None and torch.equal(x.grad[..., 0], (~exchanged).float())


def test_a_ramp_that_begins_later() -> None:
    ramp = Ramp(0.0, 1.0, "linear", 10, after=5)
    assert [ramp(Context(step=step)) for step in (0, 5, 10, 15, 99)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    whole = Ramp(0.0, 1.0, after=5)
    assert whole(Context(step=15, max_steps=15)) == 1.0 and whole(Context(step=10, max_steps=15)) == 0.5
