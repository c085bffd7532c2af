"""Properties of every mask: who may be hidden, how many, the same from the same seed, and that nothing is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from maskedmod.core.apply import apply
from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import DROPPED, IGNORED, PREDICT, VISIBLE, MaskSet
from maskedmod.core.masking import from_masked, from_noise, masked_count, masked_counts
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout, Tokens, take
from maskedmod.layers.corruption import Corruption
from maskedmod.layers.positions import lattice
from maskedmod.masks.axis import Axis
from maskedmod.masks.block import Block, Draws, lay_rectangles, make_exact
from maskedmod.masks.multi_block import MultiBlock
from maskedmod.masks.random import Random, RatioSampler

SPEC = Spec(values=4, axes=2, grid=(8, 8))


def rows(m: int = 6, valid: Tensor | None = None, eligible: Tensor | None = None, grid: tuple[int, int] = (8, 8)) -> Tokens:
    pos = lattice(grid).expand(m, -1, -1)
    return Tokens(torch.randn(m, grid[0] * grid[1], 4), pos, Layout(grid=grid, valid=valid), eligible)


def ctx(seed: int = 0, step: int = 0) -> Context:
    return Context(step=step, seed=seed, generator=torch.Generator().manual_seed(seed * 1000 + step))


MASKS: dict[str, Any] = {
    "random": lambda: Random(SPEC, 0.6),
    "random_unit": lambda: Random(SPEC, 0.6, unit=2, count="mask_ceil"),
    "random_batch": lambda: Random(SPEC, 0.5, scope="batch"),
    "random_bernoulli": lambda: Random(SPEC, 0.5, bernoulli=True),
    "random_ignore": lambda: Random(SPEC, 0.6, ignore=0.3),
    "block": lambda: Block(SPEC, target=26, least=4),
    "block_exact": lambda: Block(SPEC, target=26, least=4, exact=True),
    "block_inverse": lambda: Block(SPEC, ratio=0.8, least=4, inverse=True, exact=True),
    "axis": lambda: Axis(SPEC, (0.6, 0.5)),
    "axis_one": lambda: Axis(SPEC, (0.0, 0.5)),
    "multi_block": lambda: MultiBlock(SPEC, least=4),
}


@pytest.mark.parametrize("name", MASKS)
def test_same_seed_same_mask(name: str) -> None:
    tokens = rows()
    first, second, other = (MASKS[name]()(tokens, ctx(s)) for s in (0, 0, 1))
    assert torch.equal(first.role, second.role) and torch.equal(first.keep, second.keep)
    assert torch.equal(first.targets, second.targets)
    assert not torch.equal(first.role, other.role)


@pytest.mark.parametrize("name", MASKS)
def test_lists_agree_with_roles(name: str) -> None:
    mask: MaskSet = MASKS[name]()(rows(), ctx())
    kept = torch.ones_like(mask.keep, dtype=torch.bool) if mask.keep_valid is None else mask.keep_valid
    asked = torch.ones_like(mask.targets, dtype=torch.bool) if mask.target_valid is None else mask.target_valid
    for i in range(mask.role.shape[0]):
        keep = mask.keep[i][kept[i]]
        assert keep.unique().numel() == keep.numel()
        assert set(keep.tolist()) == set((mask.role[i] == VISIBLE).nonzero()[:, 0].tolist())
        predicted = set(mask.targets[i][asked[i]].tolist())
        assert predicted == set((mask.role[i] == PREDICT).nonzero()[:, 0].tolist())


@pytest.mark.parametrize("name", [n for n in MASKS if n not in ("multi_block", "random_ignore")])
def test_padding_and_ineligible_tokens_are_never_hidden(name: str) -> None:
    valid = torch.arange(64) < torch.tensor([64, 48, 40, 24, 16, 8])[:, None]
    eligible = torch.ones(6, 64, dtype=torch.bool)
    eligible[:, :2] = False
    tokens = rows(valid=valid, eligible=eligible)
    mask: MaskSet = MASKS[name]()(tokens, ctx())
    assert not (mask.hidden & valid & ~eligible).any(), "an ineligible token was hidden"
    assert (mask.role[~valid] == DROPPED).all()
    assert (mask.role[valid] != DROPPED).all()
    assert mask.keep_valid is not None and mask.target_valid is not None
    assert torch.equal(mask.keep_valid.sum(1), (mask.role == VISIBLE).sum(1))
    assert torch.equal(mask.target_valid.sum((1, 2)), (mask.role == PREDICT).sum(1))
    assert valid.gather(1, mask.keep)[mask.keep_valid].all()
    assert valid.gather(1, mask.targets[:, 0])[mask.target_valid[:, 0]].all()


def test_count_comes_from_valid_tokens() -> None:
    lengths = torch.tensor([64, 50, 33, 10, 3, 1])
    valid = torch.arange(64) < lengths[:, None]
    mask = Random(SPEC, 0.75)(rows(valid=valid), ctx())
    for length, role in zip(lengths.tolist(), mask.role, strict=True):
        assert (role == PREDICT).sum() == masked_count(length, 0.75, "keep_int")
    assert mask.keep.shape == (6, 16) and mask.targets.shape == (6, 1, 48), "shapes must not depend on the lengths"


@pytest.mark.parametrize("rule", ["keep_int", "mask_int", "mask_ceil", "mask_round"])
def test_count_rules_on_the_device_equal_python(rule: Any) -> None:
    numbers = torch.arange(1, 600)
    for ratio in (0.15, 0.4, 0.6, 0.75, 0.8, 0.9):
        assert masked_counts(numbers, ratio, rule).tolist() == [masked_count(n, ratio, rule) for n in numbers.tolist()]


def test_published_counts() -> None:
    assert 196 - masked_count(196, 0.75, "keep_int") == 49  # MAE
    assert 512 - masked_count(512, 0.8, "keep_int") == 102  # Audio-MAE
    assert masked_count(36, 0.6, "mask_ceil") == 22  # SimMIM
    assert masked_count(64, 0.6, "mask_int") == 38  # Point-MAE


def test_noise_order_is_kept() -> None:
    noise = torch.rand(3, 20)
    mask = from_noise(noise, 0.75)
    assert torch.equal(mask.keep, noise.argsort(1)[:, :5])
    assert torch.equal(mask.hidden, torch.ones(3, 20).scatter(1, mask.keep, 0) > 0)


def test_units_hide_whole_squares() -> None:
    mask = Random(SPEC, 0.6, unit=2, count="mask_ceil")(rows(), ctx())
    squares = mask.hidden.reshape(6, 4, 2, 4, 2).permute(0, 1, 3, 2, 4).flatten(3)
    assert (squares.all(-1) | ~squares.any(-1)).all()
    assert (squares.all(-1).sum((1, 2)) == 10).all()


def test_k_masks_of_a_sample_differ_and_share_it() -> None:
    tokens = rows(2).repeat(3)
    mask = Random(SPEC, 0.5, masks_per_sample=3)(tokens, ctx())
    assert mask.role.shape == (6, 64) and mask.per_sample == 3
    assert not torch.equal(mask.role[0], mask.role[1])
    assert torch.equal(tokens.values[0], tokens.values[2])
    values = torch.randn(2, 64, 5)
    torch.testing.assert_close(take(values, mask.targets), take(values.repeat_interleave(3, 0), mask.targets))


def test_ratio_schedule_and_sampler() -> None:
    sampled = Random(SPEC, RatioSampler(0.3, 0.7))
    counts = {int(sampled(rows(), ctx(step=s)).hidden[0].sum()) for s in range(12)}
    assert len(counts) > 4 and min(counts) >= 64 - int(64 * 0.71) and max(counts) <= 46
    one = sampled(rows(), ctx(step=3)).hidden.sum(1)
    assert (one == one[0]).all(), "one ratio per batch"


def test_corruption_shares() -> None:
    mask = Random(SPEC, 0.5, corrupt=Corruption(0.8, 0.1, 0.1))(rows(400), ctx())
    assert mask.code is not None
    assert not mask.code[~mask.hidden].any()
    share = torch.bincount(mask.code[mask.hidden].long(), minlength=4).float() / mask.hidden.sum()
    torch.testing.assert_close(share[1:], torch.tensor([0.8, 0.1, 0.1]), atol=0.02, rtol=0)
    with pytest.raises(ValueError, match="do not sum to 1"):
        Corruption(0.8, 0.1, 0.2)


def test_ignored_tokens_have_no_weight() -> None:
    mask = Random(SPEC, 0.6, ignore=0.5)(rows(), ctx())
    ignored = mask.role == IGNORED
    assert ignored.any()
    where = mask.where("masked")
    assert where.weight is not None and where.index is not None
    counted = torch.zeros(6, 64).scatter_add(1, where.index[:, 0], where.weight[:, 0])
    assert torch.equal(counted > 0, mask.role == PREDICT)


def test_blocks_reach_their_number() -> None:
    rng = np.random.default_rng(0)
    masked = lay_rectangles(Draws(rng), 200, (14, 14), 75, 16, None, 0.3).reshape(200, -1)
    assert masked.sum(1).max() <= 75 and masked.sum(1).mean() > 70, "BEiT ends at 75 or a little below"
    assert (make_exact(Draws(rng), masked, 75).sum(1) == 75).all()
    exact = make_exact(Draws(rng), masked, 75)
    assert (exact >= masked).all(), "filling up frees nothing"


def test_axis_hides_whole_lines() -> None:
    mask = Axis(SPEC, (0.5, 0.25))(rows(), ctx())
    visible = (~mask.hidden).reshape(6, 8, 8)
    lines, columns = visible.any(2), visible.any(1)
    assert torch.equal(visible, lines[:, :, None] & columns[:, None, :])
    assert (lines.sum(1) == 4).all() and (columns.sum(1) == 6).all()
    assert mask.keep_valid is None


def test_multi_block_context_holds_no_target() -> None:
    mask = MultiBlock(SPEC, least=4)(rows(16), ctx())
    assert mask.targets.shape[:2] == (16, 4)
    for keep, targets in zip(mask.keep, mask.targets, strict=True):
        assert not set(keep.tolist()) & set(targets.flatten().tolist())
        for one in targets:
            y, x = one // 8, one % 8
            height, width = int(y.max() - y.min() + 1), int(x.max() - x.min() + 1)
            assert height * width == len(one), "a target is a full rectangle"


def test_visible_gathers_what_it_says() -> None:
    tokens = rows()
    mask = Random(SPEC, 0.5)(tokens, ctx())
    seen = apply(tokens, mask, "visible")
    assert torch.equal(seen.tokens.values, tokens.values.gather(1, mask.keep[..., None].expand(-1, -1, 4)))
    restored = torch.zeros_like(tokens.values).scatter(1, mask.keep[..., None].expand(-1, -1, 4), seen.tokens.values)
    assert torch.equal(restored, tokens.values * (~mask.hidden)[..., None])


def test_corrupt_replaces_by_code() -> None:
    tokens = Tokens(torch.arange(200)[:, None].expand(-1, 50) * 1, torch.zeros(200, 50, 1, dtype=torch.long))
    mask = Random(Spec(values=1, axes=1, vocab=200), 0.5, corrupt=Corruption(0.4, 0.4, 0.2))(tokens, ctx())
    seen = apply(tokens, mask, "corrupt")
    assert mask.code is not None and seen.hidden is not None
    assert torch.equal(seen.hidden, mask.code == 1)
    assert torch.equal(seen.tokens.values[mask.code != 2], tokens.values[mask.code != 2])
    assert (seen.tokens.values[mask.code == 2] != tokens.values[mask.code == 2]).float().mean() > 0.9


def packed(lengths: list[int], eligible: bool = False) -> Tokens:
    total = sum(lengths)
    cu = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32)
    may = None
    if eligible:
        may = torch.ones(total, dtype=torch.bool)
        may[cu[:-1].long()] = False
    pos = torch.cat([torch.arange(n) for n in lengths])[:, None]
    return Tokens(torch.randn(total, 4), pos, Layout(cu_seqlens=cu, max_seqlen=max(lengths)), may)


def test_packed_counts_per_sequence_and_cu_of_visible() -> None:
    lengths = [20, 7, 40, 1]
    tokens = packed(lengths, eligible=True)
    mask = Random(Spec(values=4, axes=1), 0.5, count="mask_int")(tokens, ctx())
    start = 0
    for n in lengths:
        hidden = mask.hidden[start : start + n]
        assert not hidden[0] and int(hidden.sum()) == (n - 1) // 2
        start += n
    seen = apply(tokens, mask, "visible")
    assert seen.tokens.layout.cu_seqlens is not None
    assert seen.tokens.layout.cu_seqlens.diff().tolist() == [n - (n - 1) // 2 for n in lengths]
    assert torch.equal(seen.tokens.values, tokens.values[~mask.hidden])


def test_from_masked_with_equal_and_ragged_rows() -> None:
    masked = torch.zeros(3, 10, dtype=torch.bool)
    masked[:, 2:5] = True
    assert from_masked(masked).target_valid is None
    masked[1, 7] = True
    mask = from_masked(masked)
    assert mask.targets.shape == (3, 1, 4) and mask.target_valid is not None
    assert mask.target_valid.sum((1, 2)).tolist() == [3, 4, 3]
    assert torch.equal(mask.hidden, masked)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Random(SPEC, 1.5), "between 0 and 1"),
        (lambda: Block(SPEC), "either target or ratio"),
        (lambda: Block(SPEC, target=64)(rows(), ctx()), "fewer than all"),
        (lambda: Axis(SPEC, (0.5,)), "has 2 axes"),
        (lambda: Random(SPEC, 0.5, unit=3)(rows(), ctx()), "does not divide"),
        (lambda: Block(Spec(values=1, axes=1), target=3), "two axes"),
    ],
)
def test_bad_settings_are_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_every_mask_is_a_mask() -> None:
    assert all(isinstance(make(), Mask) for make in MASKS.values())
