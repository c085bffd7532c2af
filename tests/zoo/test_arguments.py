"""Every argument of a published constructor is read, said by a setting, without effect, or refused by a line that names it."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

from maskedmod.errors import UserError
from maskedmod.support.compat import repair_torchaudio, repair_torchvision
from maskedmod.zoo.files.source import Source
from maskedmod.zoo.layouts.arguments import Argument, Only, Setting
from maskedmod.zoo.layouts.known import LAYOUTS, find
from maskedmod.zoo.settings import settle

STATED: list[Any] = [layout for layout in LAYOUTS if hasattr(layout, "ARGUMENTS")]


@pytest.mark.parametrize("layout", STATED, ids=lambda layout: layout.NAME)
def test_arguments(layout: Any) -> None:
    arguments: dict[str, Argument] = layout.ARGUMENTS
    assert "@" in layout.REFERENCE, "name the repository, the commit and the class"
    for name, how in arguments.items():
        if isinstance(how, Setting):
            assert how.name in layout.SETTINGS, f"{name}: {layout.NAME} has no setting {how.name}"
    for name in (name for name, how in arguments.items() if isinstance(how, Only)):
        for kind in ("args", "config"):
            with pytest.raises(UserError, match=f"{name}='something else' is not supported by layout {layout.NAME}"):
                settle(layout, Source(Path("file.pth"), {}, **{kind: {name: "something else"}}), {})
        values = arguments[name].values  # type: ignore[union-attr]
        for value in values:
            settle(layout, Source(Path("file.pth"), {}, args={name: value}), {})


CONFIGS = {
    "hf_vit_mae": ("ViTMAEConfig",),
    "hf_vit_mim": ("ViTConfig",),
    "hf_vit": ("ViTConfig", "Dinov2Config", "Dinov2WithRegistersConfig"),
    "hf_i_jepa": ("IJepaConfig",),
    "hf_clip": ("CLIPVisionConfig",),
    "hf_beit": ("BeitConfig", "Data2VecVisionConfig"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_nothing_of_transformers_is_forgotten(name: str) -> None:
    repair_torchvision()
    repair_torchaudio()
    transformers = pytest.importorskip("transformers")
    known = {field.name for field in dataclasses.fields(transformers.PretrainedConfig)}
    arguments = next(layout for layout in STATED if name == layout.NAME).ARGUMENTS
    for config in CONFIGS[name]:
        fields = {field.name for field in dataclasses.fields(getattr(transformers, config))}
        assert fields - known - {"id2label", "label2id"} <= arguments.keys()


def test_nothing_of_timm_is_forgotten() -> None:
    repair_torchvision()
    models = pytest.importorskip("timm.models.vision_transformer")
    arguments = next(layout for layout in STATED if layout.NAME == "timm_vit").ARGUMENTS
    assert set(inspect.signature(models.VisionTransformer).parameters) <= arguments.keys()


def test_arguments_in_a_part_of_the_configuration() -> None:
    layout = next(layout for layout in STATED if layout.NAME == "timm_vit")
    with pytest.raises(UserError, match="norm_layer='rmsnorm' is not supported by layout timm_vit"):
        settle(layout, Source(Path("file.pth"), {}, config={"model_args": {"norm_layer": "rmsnorm"}}), {})


def test_options_that_tensors_show() -> None:
    """A file of a layout with an option that is not supported, and a file of no layout that is known all the same."""
    layout = next(layout for layout in STATED if layout.NAME == "vq_kd")
    weights = {"encoder.norm.weight": torch.ones(2)}
    with pytest.raises(UserError, match="without mean pooling .* is not supported by layout vq_kd"):
        settle(layout, Source(Path("file.pth"), weights), {})
    with pytest.raises(UserError, match="of no known layout"):
        find(Source(Path("file.pth"), weights))
    with pytest.raises(UserError, match="encoder Swin is not supported"):
        find(Source(Path("file.pth"), {"encoder.layers.0.blocks.0.norm1.weight": torch.ones(2)}))
