"""Losses against their formulas, and every order of reduction."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from maskedmod.core.blocks.loss import reduce_tokens
from maskedmod.core.spec import Spec
from maskedmod.losses.bce import Bce
from maskedmod.losses.cosine import Cosine
from maskedmod.losses.cross_entropy import CrossEntropy
from maskedmod.losses.pair_rank import PairRank
from maskedmod.losses.regression import Regression

SPEC = Spec(values=4, axes=1)


@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        ("mse", lambda d: d**2),
        ("l1", lambda d: d.abs()),
        ("smooth_l1", lambda d: torch.where(d.abs() < 2, 0.5 * d**2 / 2, d.abs() - 1)),
        ("huber", lambda d: torch.where(d.abs() < 2, 0.5 * d**2, 2 * (d.abs() - 1))),
    ],
)
def test_regression(kind, formula) -> None:  # type: ignore[no-untyped-def]
    p, y = torch.randn(2, 1, 5, 4) * 3, torch.randn(2, 1, 5, 4)
    loss = Regression(SPEC, kind, beta=2.0, scale=0.5)
    torch.testing.assert_close(loss.per_token(p, y), 0.5 * formula(p - y).mean(-1))


def test_reductions_differ_where_rows_have_different_counts() -> None:
    per_token = torch.tensor([[[1.0, 2.0, 3.0]], [[5.0, 100.0, 100.0]]])
    weight = torch.tensor([[[1.0, 1.0, 1.0]], [[1.0, 0.0, 0.0]]])
    assert reduce_tokens(per_token, weight, "token_mean") == pytest.approx(11 / 4)
    assert reduce_tokens(per_token, weight, "sample_mean") == pytest.approx((2 + 5) / 2)
    assert reduce_tokens(per_token, weight, "sum") == pytest.approx(11)
    full = torch.ones_like(weight)
    for how in ("token_mean", "sample_mean", "sum"):
        torch.testing.assert_close(reduce_tokens(per_token, None, how), reduce_tokens(per_token, full, how))


def test_a_row_without_weight_counts_for_nothing() -> None:
    per_token = torch.tensor([[[1.0, 3.0]], [[9.0, 9.0]]])
    weight = torch.tensor([[[1.0, 1.0]], [[0.0, 0.0]]])
    for how in ("token_mean", "sample_mean"):
        assert reduce_tokens(per_token, weight, how) == pytest.approx(2)  # type: ignore[arg-type]
    assert torch.isfinite(reduce_tokens(per_token, weight * 0, "token_mean"))


def test_cosine_is_graph_mae_s_error_and_byol_s() -> None:
    p, y = torch.randn(7, 4), torch.randn(7, 4)
    cos = F.cosine_similarity(p, y, dim=-1)
    torch.testing.assert_close(Cosine(SPEC, gamma=3.0).per_token(p, y), (1 - cos) ** 3)
    torch.testing.assert_close(
        Cosine(SPEC, scale=2.0).per_token(p, y), (F.normalize(p, dim=-1) - F.normalize(y, dim=-1)).pow(2).sum(-1)
    )


def test_cross_entropy_hard_soft_and_temperature() -> None:
    logits, ids = torch.randn(2, 1, 3, 5), torch.tensor([[[0, 1, 2]], [[4, 3, 3]]])
    expected = -logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]
    torch.testing.assert_close(CrossEntropy(SPEC).per_token(logits, ids), expected)
    torch.testing.assert_close(CrossEntropy(SPEC).per_token(logits, F.one_hot(ids, 5).float()), expected)
    torch.testing.assert_close(
        CrossEntropy(SPEC, temperature=0.5).per_token(logits, ids), CrossEntropy(SPEC).per_token(logits * 2, ids)
    )
    even = CrossEntropy(SPEC).per_token(torch.zeros(1, 1, 1, 5), torch.tensor([[[2]]]))
    assert even.item() == pytest.approx(math.log(5))


def test_binary_cross_entropy() -> None:
    p, y = torch.randn(6, 1), torch.tensor([[1.0], [0.0]] * 3)
    expected = -(3 * y * F.logsigmoid(p) + (1 - y) * F.logsigmoid(-p))[:, 0]
    torch.testing.assert_close(Bce(SPEC, positive=3.0).per_token(p, y), expected)


def test_losses_are_float32_under_autocast() -> None:
    p, y = torch.randn(2, 1, 3, 4).bfloat16(), torch.randn(2, 1, 3, 4)
    assert Regression(SPEC)(p, y).dtype == torch.float32


def test_ones_and_zeros_that_count_alike() -> None:
    """One of four is a one: the sum of two means, and one half is the best guess."""
    logits, goal = torch.tensor([[2.0], [-1.0], [0.5], [0.0]]), torch.tensor([[1.0], [0.0], [0.0], [0.0]])
    chance = logits.sigmoid()
    wanted = -chance[0].log().mean() - (1 - chance[1:]).log().mean()
    loss = Bce(SPEC, balanced=True)
    torch.testing.assert_close(loss(logits, goal), wanted)
    torch.testing.assert_close(
        loss(logits, goal, torch.tensor([1.0, 1.0, 0.0, 1.0])), -chance[0].log().mean() - (1 - chance[[1, 3]]).log().mean()
    )
    assert loss.of_mean(torch.tensor(0.25)) == 0 and Bce(SPEC).of_mean(torch.tensor(0.25)) < 0
    with pytest.raises(ValueError, match="one value"):
        loss(torch.zeros(2, 3), torch.zeros(2, 3))


def test_true_pairs_above_others() -> None:
    """The first with the first; one other is left over."""
    scores, goal = torch.tensor([[2.0], [0.5], [1.0], [0.0], [9.0]]), torch.tensor([[1.0], [1.0], [0.0], [0.0], [0.0]])
    apart = torch.tensor([1.0, 0.5])
    wanted = {
        "auc": (1 - apart).square().sum(),
        "hinge_auc": (1 - apart).clamp(min=0).square().sum(),
        "log_rank": -apart.sigmoid().log().mean(),
    }
    for kind, value in wanted.items():
        torch.testing.assert_close(PairRank(SPEC, kind)(scores, goal), value)  # type: ignore[arg-type]
    assert PairRank(SPEC, "log_rank")(scores[:2], goal[:2]) == 0
    with pytest.raises(ValueError, match="one value"):
        PairRank(SPEC)(scores, goal, torch.ones(5))
