"""Chamfer distance against loops over single points."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from maskedmod.core.spec import Spec
from maskedmod.losses.chamfer import Chamfer

SPEC = Spec(values=15, axes=3, target=15)


def naive(p: Tensor, y: Tensor, root: bool) -> Tensor:
    """Both sums of minima, one pair after another."""

    def one_way(a: Tensor, b: Tensor) -> Tensor:
        nearest = [min(((x - z) ** 2).sum() for z in b) for x in a]
        return sum((d.sqrt() if root else d for d in nearest), torch.zeros(())) / len(a)

    total = one_way(p, y) + one_way(y, p)
    return total / 2 if root else total


@pytest.mark.parametrize("kind", ["l2", "l1"])
def test_equal_to_loops(kind: str) -> None:
    draw = torch.Generator().manual_seed(0)
    p = torch.randn(2, 1, 4, 15, generator=draw, requires_grad=True)
    y = torch.randn(2, 1, 4, 15, generator=draw)
    loss = Chamfer(SPEC, kind)  # type: ignore[arg-type]
    wanted = [naive(a.view(5, 3), b.view(5, 3), kind == "l1") for a, b in zip(p.view(-1, 15), y.view(-1, 15), strict=True)]
    found = loss.per_token(p, y)
    assert found.shape == (2, 1, 4)
    assert torch.allclose(found.flatten(), torch.stack(wanted), atol=1e-6)
    (gradient,) = torch.autograd.grad(loss(p, y), p)
    (same,) = torch.autograd.grad(torch.stack(wanted).mean(), p)
    assert torch.allclose(gradient, same, atol=1e-6)


def test_order_and_equal_sets() -> None:
    points = torch.randn(3, 1, 2, 15, generator=torch.Generator().manual_seed(0))
    turned = points.unflatten(-1, (5, 3))[..., torch.tensor([3, 1, 4, 0, 2]), :].flatten(-2).requires_grad_()
    for kind in ("l2", "l1"):
        value = Chamfer(SPEC, kind)(turned, points)  # type: ignore[arg-type]
        assert float(value.detach()) < 1e-5
        (gradient,) = torch.autograd.grad(value, turned)
        assert torch.isfinite(gradient).all()


def test_sets_of_different_size() -> None:
    assert Chamfer(SPEC).per_token(torch.zeros(2, 6), torch.ones(2, 15)).tolist() == [6.0, 6.0]


def test_target_that_is_no_points() -> None:
    with pytest.raises(ValueError, match="16 numbers of a target are no points of 3"):
        Chamfer(Spec(values=16, axes=3, target=16))
