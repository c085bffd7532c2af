"""MAE and Audio-MAE against the tensors recorded from their released code."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import maskedmod
from maskedmod.api.loaded import Loaded
from maskedmod.core.masking import from_noise
from maskedmod.core.step import Step
from tests.parity.golden import Golden, agree, cases, golden, gradients_agree, load_saved, one_step, shuffled


@pytest.mark.parametrize("name", cases("mae"))
def test_mae(name: str, tmp_path: Path) -> None:
    case = golden(name)
    made, ratio = case.meta["constructor"], case.meta["forward"]["mask_ratio"]
    settings = {"heads": made["num_heads"], "decoder_heads": made["decoder_num_heads"]}
    args = argparse.Namespace(mask_ratio=ratio, norm_pix_loss=made["norm_pix_loss"])
    content = {"model": case.group("weights."), "args": args, "epoch": 3}
    loaded = load_saved(content, tmp_path / "checkpoint.pth", settings=settings)
    assert loaded.layout == "fair_mae"
    assert "epoch" in loaded.report.unneeded and "pos_embed" in loaded.report.unneeded
    assert loaded.tree["encoder"]["transformer"]["positions"] == "sincos"
    mask = from_noise(case["mask.noise"], ratio)
    assert torch.equal(mask.hidden.float(), case["mask.mask"])
    step, losses = one_step(loaded, {"pixels": case["input.image"]}, mask)
    view = step.views["main"]
    agree("target", view.tokens.values, case["latent.target_patches"])
    check_mae(case, loaded, step, losses)


@pytest.mark.parametrize("name", cases("audio_mae"))
def test_audio_mae(name: str, tmp_path: Path) -> None:
    case = golden(name)
    made = case.meta["constructor"]
    frames, bins = made["img_size"]
    settings = {"mel_bins": bins, "heads": made["num_heads"], "norm_pix_loss": made["norm_pix_loss"]}
    settings |= {name: made[name] for name in ("stride", "no_shift") if name in made}
    if made["decoder_mode"] == 0:
        settings["decoder_heads"] = made["decoder_num_heads"]
    file = tmp_path / "audio.safetensors"
    save_file(case.group("weights."), file)
    loaded = maskedmod.load(file, settings=settings)
    assert loaded.layout == "audio_mae"
    laid = "sincos" if made.get("use_custom_patch") else "frozen"  # tables of overlapping patches fit the order of the tokens
    assert loaded.tree["encoder"]["transformer"]["positions"] == laid
    assert loaded.tree["modality"]["audio"]["frames"] == frames
    mask = shuffled(case)
    if "mask.noise" in case:
        drawn = from_noise(case["mask.noise"], case.meta["forward"]["mask_ratio"])
        assert torch.equal(drawn.keep, mask.keep) and torch.equal(drawn.role, mask.role)
    step, losses = one_step(loaded, {"fbank": case["input.fbank"][:, 0]}, mask)
    check_mae(case, loaded, step, losses)


def check_mae(case: Golden, loaded: Loaded, step: Step, losses: dict[str, Tensor]) -> None:
    view, head = step.views["main"], loaded.model.objectives["main"].head
    agree("encoder", torch.cat([view.student.prefix, view.student.tokens], dim=1), case["latent.encoder"])
    agree("prediction of all patches", head(view, view.mask.where("all"))[:, 0], case["output.pred"])
    hidden = view.mask.targets[:, 0, :, None].expand(-1, -1, case["output.pred"].shape[-1])
    agree("prediction of hidden patches", head(view, view.mask.where("masked"))[:, 0], case["output.pred"].gather(1, hidden))
    agree("loss", losses["loss"], case["output.loss"])
    gradients_agree(case, loaded, losses["loss"])
