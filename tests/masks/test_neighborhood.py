"""One hole in space around a random token."""

from __future__ import annotations

import pytest
import torch

from maskedmod.core.context import Context
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.masks.neighborhood import Neighborhood
from maskedmod.masks.random import RatioSampler

SPEC = Spec(values=3, axes=3)


def rows(b: int = 6, n: int = 40) -> Tokens:
    draw = torch.Generator().manual_seed(0)
    return Tokens(torch.randn(b, n, 1, 3, generator=draw), torch.randn(b, n, 3, generator=draw))


def ctx(seed: int = 0, **more: int) -> Context:
    return Context(seed=seed, generator=torch.Generator().manual_seed(seed), **more)


def test_hidden_tokens_are_the_nearest_to_one_of_them() -> None:
    tokens = rows()
    mask = Neighborhood(SPEC, 0.6)(tokens, ctx())
    assert mask.targets.shape == (6, 1, 24) and mask.keep.shape == (6, 16)
    for pos, hidden in zip(tokens.pos, mask.hidden, strict=True):
        distance = (pos[:, None] - pos[None]).norm(dim=-1)
        farthest_hidden = distance.masked_fill(~hidden[None], -1).amax(1)
        nearest_kept = distance.masked_fill(hidden[None], 99).amin(1)
        assert (hidden & (farthest_hidden < nearest_kept)).any()


def test_drawn_by_the_generator_alone() -> None:
    tokens = rows()
    block = Neighborhood(SPEC)
    assert torch.equal(block(tokens, ctx(1)).role, block(tokens, ctx(1)).role)
    assert not torch.equal(block(tokens, ctx(1)).role, block(tokens, ctx(2)).role)


def test_ratio_of_a_batch() -> None:
    block = Neighborhood(SPEC, RatioSampler(0.25, 0.45))
    shares = {block(rows(), ctx(3, step=step)).targets.shape[-1] for step in range(12)}
    assert min(shares) >= 10 and max(shares) <= 18 and len(shares) > 2


def test_padding_is_never_hidden() -> None:
    tokens = rows()
    valid = torch.arange(40) < torch.tensor([40, 30, 20, 10, 40, 5])[:, None]
    padded = Tokens(tokens.values, tokens.pos, Layout(valid=valid))
    mask = Neighborhood(SPEC, 0.5)(padded, ctx())
    hidden = (mask.role == 1) & valid
    assert hidden.sum(1).tolist() == [20, 15, 10, 5, 20, 2] and mask.target_valid is not None
    assert mask.target_valid.sum((1, 2)).tolist() == [20, 15, 10, 5, 20, 2]


def test_what_it_cannot_hide() -> None:
    with pytest.raises(ValueError, match=r"mask.ratio must lie between 0 and 1, not 1.5"):
        Neighborhood(SPEC, 1.5)
    packed = Tokens(torch.zeros(4, 3), torch.zeros(4, 3), Layout(cu_seqlens=torch.tensor([0, 4]), max_seqlen=4))
    with pytest.raises(ValueError, match="these are packed"):
        Neighborhood(SPEC)(packed, ctx())
