"""SimMIM, data2vec and BEiT, which mask inside the encoder, against the tensors recorded from their released code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskedmod.core.masking import from_masked
from maskedmod.errors import UserError
from maskedmod.layers.block import Block
from maskedmod.zoo.layouts.image.data2vec_vision import ARGUMENTS, SETTINGS
from tests.parity.golden import agree, cases, golden, gradients_agree, load_saved, one_step


@pytest.mark.parametrize("name", cases("simmim/vit"))
def test_simmim(name: str, tmp_path: Path) -> None:
    case = golden(name)
    made = case.meta["constructor"]["mask_generator"]
    settings = {"mask_ratio": made["mask_ratio"], "mask_patch_size": made["mask_patch_size"]}
    loaded = load_saved({"model": case.group("weights."), "max_accuracy": 0.0}, tmp_path / "ckpt.pth", settings=settings)
    assert loaded.layout == "simmim"
    assert ("encoder.fc_norm.weight" in loaded.report.unneeded) == case.meta["constructor"]["encoder"]["use_mean_pooling"]
    assert loaded.tree["mask"]["random"]["unit"] == made["mask_patch_size"] // made["model_patch_size"]
    step, losses = one_step(loaded, {"pixels": case["input.image"]}, from_masked(case["mask.mask"].flatten(1).bool()))
    view, model = step.views["main"], loaded.model
    agree("encoder", view.student.tokens, case["latent.encoder"].flatten(2).transpose(1, 2))
    pixels = model.objectives["main"].head(view, view.mask.where("all"))[:, 0]
    agree("prediction", model.modality.untokenize(pixels, view.tokens), case["output.pred"])
    agree("loss", losses["loss"], case["output.loss"])
    gradients_agree(case, loaded, losses["loss"])


@pytest.mark.parametrize("name", [*cases("simmim/swin"), *cases("simmim/swinv2")])
def test_simmim_of_another_encoder_is_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="encoder Swin is not supported"):
        load_saved({"model": golden(name).group("weights.")}, tmp_path / "ckpt.pth")


@pytest.mark.parametrize("name", cases("data2vec_vision"))
def test_data2vec_vision(name: str, tmp_path: Path) -> None:
    case = golden(name)
    asked = case.meta["forward"]
    content = {"model": case.group("weights.model."), "model_ema": case.group("weights.ema.")}
    settings = {"post_target_layer_norm": False, **{key: asked[key] for key in SETTINGS if key in asked}}
    assert asked.keys() <= ARGUMENTS.keys()
    loaded = load_saved(content, tmp_path / "checkpoint.pth", settings=settings)
    assert loaded.layout == "data2vec_vision" and "model_ema.lm_head.weight" in loaded.report.unneeded
    masked = case["mask.bool_masked_pos"].flatten(1).bool()
    step, losses = one_step(loaded, {"pixels": case["input.image"]}, from_masked(masked))
    view, objective = step.views["main"], loaded.model.objectives["main"]
    agree("target", objective.target.all_tokens(view.teacher), case["latent.target_all"])
    predicted = objective.head(view, view.mask.where("all"))[:, 0]
    agree("prediction", predicted[masked], case["output.pred"])
    agree("loss", losses["loss"], case["output.loss"])
    gradients_agree(case, loaded, losses["loss"])


@pytest.mark.parametrize("name", cases("data2vec_vision"))
def test_data2vec_without_teacher_starts_one_from_the_student(name: str, tmp_path: Path) -> None:
    case = golden(name)
    loaded = load_saved({"model": case.group("weights.model.")}, tmp_path / "student.pth")
    teacher = loaded.model.get_submodule("teacher.encoder").state_dict()
    for key, value in loaded.model.encoder.state_dict().items():
        assert torch.equal(value, teacher[key])


def test_mlp_tap_is_what_the_residual_adds(tmp_path: Path) -> None:
    """``layer_results=fc`` of data2vec is the MLP branch with its layer scale."""
    case = golden(cases("data2vec_vision")[0])
    block = load_saved({"model": case.group("weights.model.")}, tmp_path / "student.pth").model.encoder.units()[0]
    assert isinstance(block, Block)
    x = torch.randn(2, 5, block.norm1.weight.shape[0])
    with torch.no_grad():
        out, branch = block.think(x)
        agree("branch", branch, block.scale2.gamma * block.mlp(block.norm2(x)))
    agree("output", x + branch, out)


@pytest.mark.parametrize("name", cases("beit"))
def test_beit(name: str, tmp_path: Path) -> None:
    case = golden(name)
    settings = {"heads": case.meta["constructor"]["num_heads"]}
    loaded = load_saved({"model": case.group("weights.")}, tmp_path / "beit.pth", settings=settings)
    assert loaded.layout == "beit"
    masked = case["mask.bool_masked_pos"].flatten(1).bool()
    batch = {"pixels": case["input.image"], "labels": case["input.labels"]}
    step, losses = one_step(loaded, batch, from_masked(masked))
    view = step.views["main"]
    agree("encoder", torch.cat([view.student.prefix, view.student.tokens], dim=1), case["latent.encoder"])
    predicted = loaded.model.objectives["main"].head(view, view.mask.where("all"))[:, 0]
    agree("prediction", predicted[masked], case["output.pred"])
    agree("loss", losses["loss"], case["output.loss"])
    gradients_agree(case, loaded, losses["loss"])
