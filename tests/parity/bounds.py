"""How near is near enough where a training pass is recorded: BatchNorm divides by what it measures."""

from __future__ import annotations

from torch import Tensor

from tests.parity.golden import GRADIENT, Golden, error


def own_difference(case: Golden, kind: str = "grad") -> float:
    """Largest absolute difference between the reference in float32 and in float64, in training; ``kind``: output or
    grad. 0 where it was not recorded."""
    told = case.meta["tolerance"]
    names = ("train_max_abs_diff_float32_vs_float64", "max_abs_diff_float32_vs_float64_train")
    found = next((told[name] for name in names if name in told), 0.0)
    return float(found[kind] if isinstance(found, dict) else found)


def agree_in_training(what: str, ours: Tensor, reference: Tensor, own: float, most: float = GRADIENT) -> None:
    """Within the relative error ``most``, or within ``own``, the difference that the reference has from itself: a gradient that
    is 0 in exact arithmetic (a bias before BatchNorm) is nothing but that."""
    found, apart = error(ours, reference), float((ours.detach().double() - reference.double()).abs().max())
    print(f"  {what}: relative error {found:.2e}, absolute {apart:.2e} (the reference's own: {own:.2e})")
    assert found < most or apart <= own, (
        f"{what}: relative error {found:.2e}, absolute {apart:.2e}, accepted {most:.0e} or {own:.0e}"
    )
