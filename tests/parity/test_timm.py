"""A Vision Transformer of timm, whose keys are those of FAIR's encoder files, against our encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskedmod.support.compat import repair_torchvision
from tests.conftest import parity_case
from tests.parity.golden import agree, encode, load_saved

repair_torchvision()
timm = pytest.importorskip("timm")


def test_vision_transformer(tmp_path: Path) -> None:
    sizes = {"img_size": (16, 32), "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 4}
    theirs = timm.models.vision_transformer.VisionTransformer(**sizes, in_chans=4, num_classes=0).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    loaded = load_saved(theirs.state_dict(), tmp_path / "vit.pth", settings={"heads": 4, "image_size": [16, 32]})
    parity_case("timm VisionTransformer")
    assert loaded.layout == "fair_mae" and loaded.report.untrained
    image = torch.randn(2, 4, 16, 32)
    agree("encoder", encode(loaded, {"pixels": image}), theirs.forward_features(image))
