"""BEiT v2 and its tokenizer against the tensors recorded from their released code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskedmod.core.masking import from_masked
from tests.parity.golden import agree, cases, golden, gradients_agree, load_saved, one_step

MODELS = [name for name in cases("beit_v2") if "vqkd" not in name]


@pytest.mark.parametrize("name", MODELS)
def test_beit_v2(name: str, tmp_path: Path) -> None:
    case = golden(name)
    made = case.meta["constructor"]
    settings = {"heads": made["num_heads"], "early_layers": made["early_layers"]}
    loaded = load_saved({"model": case.group("weights.")}, tmp_path / "beit_v2.pth", settings=settings)
    assert loaded.layout == "beit_v2"
    masked = case["mask.bool_masked_pos"].flatten(1).bool()
    step, losses = one_step(loaded, {"pixels": case["input.image"], "labels": case["input.codes"]}, from_masked(masked))
    view, objectives = step.views["main"], loaded.model.objectives
    assert view.student.prefix is not None
    agree("encoder", torch.cat([view.student.prefix, view.student.tokens], dim=1), case["latent.encoder"])
    for objective, wanted in (("main", "output.pred"), ("class", "output.pred_cls_head")):
        predicted = objectives[objective].head(view, view.mask.where("all"))[:, 0]
        agree(f"prediction of {objective}", predicted[masked], case[wanted])
    agree("loss of the patches", losses["main"], case["output.loss_1"])
    agree("loss through the class token", losses["class"], case["output.loss_2"])
    agree("loss", losses["loss"], case["output.loss"])
    gradients_agree(case, loaded, losses["loss"])
