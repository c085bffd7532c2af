"""HOG targets of MaskFeat against the tensors recorded from SlowFast and mmpretrain."""

from __future__ import annotations

import pytest
import torch

from maskedmod.core.spec import Spec
from maskedmod.targets.hog import Hog, gradients
from tests.parity.golden import OUTPUT, Golden, agree, cases, error, golden

CLOSE = 1e-4


def target(case: Golden, gaussian: int) -> Hog:
    made = case.meta["constructor"]
    patch, channels = made["patch_stride"], case["input.image"].shape[1]
    spec = Spec(values=patch * patch * channels, axes=2, patch=(patch, patch), channels=channels)
    return Hog(spec, bins=made["nbins"], cell=made["pool"], gaussian=gaussian)


@pytest.mark.parametrize("name", cases("maskfeat_hog"))
def test_binning_given_the_recorded_gradients(name: str) -> None:
    case = golden(name)
    for window, recorded in ((case.meta["constructor"]["gaussian_window"], "output.hog"), (None, "output.mmpretrain_hog")):
        hog = target(case, case.meta["constructor"]["mmpretrain"]["gaussian_window"] if window is None else window)
        agree(recorded, hog.bin(case["latent.gx"], case["latent.gy"]), case[recorded])


@pytest.mark.parametrize("name", cases("maskfeat_hog"))
def test_hog_of_the_image(name: str) -> None:
    """Gradients agree. Where they are zero up to rounding the bin is a matter of rounding: the recording states how many cells
    such ties may change, and on images without ties nothing does."""
    case = golden(name)
    made, image = case.meta["constructor"], case["input.image"]
    gx, gy = gradients(image)
    agree("gx", gx, case["latent.gx"])
    agree("gy", gy, case["latent.gy"])
    hog, smooth = target(case, made["gaussian_window"]), target(case, made["mmpretrain"]["gaussian_window"])
    results = {
        "output.hog": hog.histogram(image),
        "output.target": hog.per_token(image),
        "output.mmpretrain_hog": smooth.histogram(image),
    }
    for key, ours in results.items():
        if case.meta["sensitivity"]["fraction_above_1e-4"] == 0.0:
            agree(key, ours, case[key])
            continue
        assert ours.shape == case[key].shape
        differing = float(((ours - case[key]).abs() > CLOSE).float().mean())
        print(f"  {key}: {differing:.2%} of cells differ by more than {CLOSE}, largest {error(ours, case[key]):.1e}")
        assert differing <= case.meta["sensitivity"]["fraction_above_1e-4"], f"{key}: {differing:.2%} of cells differ"
        assert torch.median((ours - case[key]).abs()) < OUTPUT
