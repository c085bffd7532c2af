"""Masks of pyramids: all levels agree, and what is hidden stays hidden."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from maskedmod.modalities.points.pointnet import MiniPointNet
from maskedmod.modalities.points.scales import scales

from maskedmod.core.apply import apply
from maskedmod.core.context import Context
from maskedmod.core.masking import from_masked
from maskedmod.core.pyramid import Level, Pyramid, put_back
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.core.tokens import Tokens
from maskedmod.encoders.point_pyramid import PointPyramid
from maskedmod.errors import UserError
from maskedmod.heads.pyramid_decoder import PyramidDecoder
from maskedmod.layers.points.grouping import interpolate
from maskedmod.masks.multi_scale import MultiScale, project

SPEC = Spec(values=18, axes=3)
SIZES = ((32, 8), (16, 6), (8, 4))


def pyramid(batch: int = 3, at: int = 1) -> Pyramid:
    points = torch.randn(batch, 128, 3, generator=torch.Generator().manual_seed(1))
    return Pyramid.of(scales(points, SIZES), at)


@pytest.mark.parametrize("spill", [False, True])
def test_a_fine_token_is_visible_when_a_visible_coarse_one_holds_it(spill: bool) -> None:
    rows = pyramid()
    mask = MultiScale(SPEC, 0.7, spill=spill)(rows, Context(generator=torch.Generator().manual_seed(0)))
    assert mask.at(2).hidden.sum(1).tolist() == [5, 5, 5]
    for level in (1, 0):
        for row in range(3):
            above, members = mask.at(level + 1), rows.levels[level + 1].members[row]
            seen = {int(i) for token in range(len(members)) if not above.hidden[row, token] for i in members[token]}
            if spill and row == 0:
                seen.add(0)
            assert seen == set((~mask.at(level).hidden[row]).nonzero()[:, 0].tolist())
    assert torch.equal(mask.role, mask.at(1).role) and mask.target_valid is not None
    with pytest.raises(ValueError, match="levels 0 to 2, level 3"):
        mask.at(3)


def test_lists_of_known_length_hold_the_same_tokens() -> None:
    """On a GPU lists are as long as any batch needs; what pads them changes nothing."""
    rows = pyramid()
    short = project(rows, from_masked(torch.arange(8).expand(3, -1) >= 3))
    long = [from_masked(one.hidden, one.role.shape[1], 0) for one in short.scales[:2]]
    wide = replace(short, scales=(*long, short.scales[2]), **{k: v for k, v in vars(long[1]).items() if k != "scales"})
    torch.manual_seed(0)
    encoder = PointPyramid(SPEC, MiniPointNet, (16, 24, 32), (1, 1, 1), 4, normed=1).eval()
    head = PyramidDecoder(replace(SPEC, width=32, levels=encoder.levels, target=18), heads=4).eval()
    found = []
    for mask in (short, wide):
        view = View(rows, rows, mask, encoder(apply(rows, mask, encoder.sees)))
        where = mask.where("masked")
        out = head(view, where)
        found.append(out.flatten(0, 2) if where.weight is None else out[where.weight > 0])
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)


def test_nothing_of_what_is_hidden_reaches_the_output() -> None:
    rows = pyramid()
    mask = project(rows, from_masked(torch.arange(8).expand(3, -1) >= 3))
    torch.manual_seed(0)
    encoder = PointPyramid(SPEC, MiniPointNet, (16, 24, 32), (1, 1, 1), 4).eval()
    finest = rows.levels[0]
    spoilt = torch.where(mask.at(0).hidden[..., None, None], 99.0, finest.values)
    other = Pyramid.of((Level(spoilt, finest.pos, finest.members), *rows.levels[1:]), 1)
    one, two = (encoder(apply(tokens, mask, encoder.sees)) for tokens in (rows, other))
    assert torch.equal(one.tokens, two.tokens) and one.tokens.shape == (3, 3, 32)
    bare = encoder(apply(other, project(other, from_masked(torch.zeros(3, 8, dtype=torch.bool))), "full"))
    assert not torch.allclose(bare.tokens[:, :3], one.tokens)


def test_local_attention_sees_only_what_is_near() -> None:
    rows = pyramid(1)
    torch.manual_seed(0)
    near = PointPyramid(SPEC, MiniPointNet, (16, 24, 32), (1, 1, 1), 4, local_radius=(1e-6, 1e-6, 1e-6)).eval()
    everywhere = PointPyramid(SPEC, MiniPointNet, (16, 24, 32), (1, 1, 1), 4).eval()
    everywhere.load_state_dict(near.state_dict())
    seen = apply(rows, project(rows, from_masked(torch.zeros(1, 8, dtype=torch.bool))), "full")
    assert not torch.allclose(near(seen).tokens, everywhere(seen).tokens)
    wide = PointPyramid(SPEC, MiniPointNet, (16, 24, 32), (1, 1, 1), 4, local_radius=(99.0, 99.0, 99.0)).eval()
    wide.load_state_dict(near.state_dict())
    torch.testing.assert_close(wide(seen).tokens, everywhere(seen).tokens)


def test_radius_on_padding_keeps_no_token_out_and_lets_padding_in() -> None:
    """As released: without padding it is as if there were no radius, with padding a sample depends on its batch."""
    rows = pyramid(2)
    torch.manual_seed(0)
    released = PointPyramid(
        SPEC, MiniPointNet, (16, 24, 32), (1, 1, 1), 4, local_radius=(9.0, 9.0, 0.0), radius_on="padding"
    ).eval()
    plain = PointPyramid(SPEC, MiniPointNet, (16, 24, 32), (1, 1, 1), 4).eval()
    plain.load_state_dict(released.state_dict())
    hidden = torch.zeros(2, 8, dtype=torch.bool)
    hidden[:, :6] = True
    mask = project(rows, from_masked(hidden))
    fewer = next(int(i) for i in range(2) if mask.at(0).keep_valid is not None and not mask.at(0).keep_valid[i].all())
    together = released(apply(rows, mask, "full")).tokens
    same = plain(apply(rows, mask, "full")).tokens
    assert torch.allclose(together[1 - fewer], same[1 - fewer], atol=1e-6) and not torch.allclose(together[fewer], same[fewer])
    alone = Pyramid.of(tuple(Level(*(x[fewer : fewer + 1] for x in vars(level).values())) for level in rows.levels), rows.at)
    own = released(apply(alone, project(alone, from_masked(hidden[:1])), "full")).tokens
    torch.testing.assert_close(own[0], same[fewer])


def test_rows_of_several_masks_and_places() -> None:
    rows = pyramid().repeat(2)
    assert torch.equal(rows.levels[0].pos[0], rows.levels[0].pos[1]) and rows.batch == 6 and rows.at == 1
    mask = from_masked(torch.tensor([[True, False, True, False], [True, True, True, False]]))
    assert mask.keep_valid is not None
    x = torch.arange(4.0).reshape(2, 2, 1) + 1
    assert put_back(x, mask, torch.zeros(2, 4, 1))[..., 0].tolist() == [[0, 1, 0, 2], [0, 0, 0, 3]]


def test_interpolation_takes_a_value_where_one_is_and_the_mean_between_equals() -> None:
    known = torch.tensor([[[0.0, 0, 0], [2, 0, 0], [0, 50, 0], [0, 0, 50]]])
    values = torch.tensor([[[1.0], [3.0], [7.0], [9.0]]])
    found = interpolate(values, torch.tensor([[[2.0, 0, 0], [1, 0, 0]]]), known)
    assert abs(found[0, 0, 0] - 3) < 1e-6 and abs(found[0, 1, 0] - 2) < 5e-3


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MultiScale(SPEC, 1.0), "between 0 and 1"),
        (
            lambda: MultiScale(SPEC)(Tokens(torch.zeros(1, 4, 3), torch.zeros(1, 4, 3)), Context()),
            "needs tokens of several scales",
        ),
        (lambda: pyramid(at=3), "a pyramid of 3 levels has no level 3"),
        (lambda: PointPyramid(SPEC, MiniPointNet, (16, 24), (1, 1, 1)), "must have one number a level"),
        (lambda: PyramidDecoder(replace(SPEC, levels=(8, 8)), (1, 1, 1), (1, 1)), "the encoder has 2 levels"),
    ],
)
def test_what_makes_no_sense_is_said(make: object, said: str) -> None:
    with pytest.raises((ValueError, UserError), match=said):
        make()  # type: ignore[operator]
