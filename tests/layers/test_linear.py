"""The CPU's linear layer: oneDNN and the usual product give the same numbers and gradients."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from maskedmod.layers import linear as module
from maskedmod.layers.linear import LEAST, Linear, linear

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch is built without oneDNN")


def counted(monkeypatch: pytest.MonkeyPatch, slow: bool = True) -> list[int]:
    """Makes oneDNN the way to take (or not) and counts its products."""
    calls: list[int] = []
    product: Callable[[Tensor, Tensor, Tensor | None], Tensor] = module._product

    def counting(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        calls.append(len(x))
        return product(x, weight, bias)

    monkeypatch.setattr(module, "_product", counting)
    monkeypatch.setattr(module, "blas_is_slow", lambda: slow)
    return calls


@needs_onednn
@pytest.mark.parametrize("shape", [(LEAST, 40), (LEAST + 5, 40), (4, 136, 40), (3, 101, 40), (2, 8, 32, 40)])
@pytest.mark.parametrize("biased", [True, False])
def test_values_and_gradients_are_those_of_torch(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], biased: bool) -> None:
    calls = counted(monkeypatch)
    torch.manual_seed(0)
    ours, theirs = Linear(40, 24, bias=biased), torch.nn.Linear(40, 24, bias=biased)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(shape)
    results = []
    for layer in (ours, theirs):
        leaf = x.clone().requires_grad_()
        out = layer(leaf)
        (out * out).sum().backward()
        results.append([out.detach(), leaf.grad, *(parameter.grad for parameter in layer.parameters())])
    assert len(calls) == 3
    for mine, reference in zip(*results, strict=True):
        assert mine is not None and mine.shape == reference.shape
        torch.testing.assert_close(mine, reference, rtol=1e-5, atol=1e-5 * float(reference.abs().max()))


@needs_onednn
def test_second_derivatives_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    counted(monkeypatch)
    torch.manual_seed(0)
    weight, x = torch.randn(5, 7, requires_grad=True), torch.randn(LEAST, 7, requires_grad=True)
    results = []
    for product in (linear, torch.nn.functional.linear):
        (grad,) = torch.autograd.grad(product(x, weight).square().sum(), x, create_graph=True)
        results.append(torch.autograd.grad(grad.square().sum(), weight)[0])
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-3)


@needs_onednn
def test_what_onednn_is_not_for_takes_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch)
    layer = Linear(8, 4)
    layer(torch.randn(LEAST - 1, 8))
    layer.double()(torch.randn(LEAST, 8, dtype=torch.float64))
    layer.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.randn(LEAST, 8)).dtype == torch.bfloat16
    assert not calls
    layer(torch.randn(LEAST, 8))
    layer(torch.randn(LEAST + 1, 8))  # ragged and small: filled up with zeros
    assert calls == [LEAST, LEAST + LEAST // 4]
    calls.clear()
    layer(torch.randn(LEAST, 8))
    monkeypatch.setattr(module, "LARGE", 8 * 4 * (LEAST + 1))
    layer(torch.randn(LEAST + 1, 8))  # ragged and large
    assert calls == [LEAST, LEAST + 1]


def test_compiled_code_takes_the_usual_way_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch)
    monkeypatch.setattr(module, "blas_is_slow", lambda: pytest.fail("the compiler would break the graph here"))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    Linear(8, 4)(torch.randn(LEAST, 8))
    assert not calls


def test_a_machine_with_a_fast_blas_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch, slow=False)
    Linear(8, 4)(torch.randn(LEAST, 8))
    assert not calls


@needs_onednn
def test_tensors_with_gaps_and_repeats_are_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of columns, and the gradient of a sum, which is one number repeated: oneDNN's own code for these takes seconds."""
    counted(monkeypatch)
    torch.manual_seed(0)
    wide = torch.randn(1024, 4, 256, requires_grad=True)
    weight = torch.randn(256, 256, requires_grad=True)
    start = time.process_time()
    torch.cat([linear(wide[:, i], weight) for i in range(4)], dim=1).sum().backward()
    assert time.process_time() - start < 1.0
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, wide.detach().sum((0, 1)).expand(256, -1), rtol=1e-4, atol=1e-2)


def test_ragged_products_come_in_few_sizes() -> None:
    sizes = {module._filled(rows, 100) for rows in range(512, 1025) if rows % 32}
    assert sizes == {640, 768, 896, 1024}
    assert module._filled(544, 100) == 544 and module._filled(545, int(module.LARGE)) == 545
