"""BEiT v2 and its tokenizer against the tensors recorded from their released code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskedmod.core.context import Context
from maskedmod.core.masking import from_masked
from maskedmod.layers.ema_codebook import kmeans
from tests.parity.golden import Golden, agree, cases, golden, gradients_agree, load_saved, one_step

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


def of_tokenizer(case: Golden) -> dict[str, torch.Tensor]:
    """A batch of images from 0 to 1, with what the teacher made of them."""
    image = case["input.image"]
    size = torch.tensor([image.shape[-2:]] * len(image))
    return {"image": image, "size": size, "features": case["input.teacher_features"]}


@pytest.mark.parametrize("name", [name for name in cases("beit_v2") if "vqkd" in name])
def test_vq_kd(name: str, tmp_path: Path) -> None:
    case = golden(name)
    made = case.meta["constructor"]
    settings = {"heads": made["num_heads"], "decay": made["decay"]}
    loaded = load_saved({"model": case.group("weights.")}, tmp_path / "vqkd.pth", settings=settings)
    assert loaded.layout == "vq_kd"
    batch = loaded.modality.prepare(of_tokenizer(case), Context(training=False))
    b, n = case["output.codes"].shape
    step, losses = one_step(loaded, batch, from_masked(torch.zeros(b, n, dtype=torch.bool)))
    view, objectives = step.views["main"], loaded.model.objectives
    assert torch.equal(view.student.taps["codes"], case["output.codes"])
    agree("quantised", view.student.tokens, case["output.quantized"].flatten(2).transpose(1, 2))
    agree("prediction", objectives["main"].head(view, view.mask.where("all"))[:, 0], case["output.pred"])
    agree("loss of the features", losses["main"], case["output.loss_rec"])
    agree("loss of the codes", losses["codebook"], case["output.loss_commit"])
    agree("loss", losses["loss"], case["output.loss"])
    gradients_agree(case, loaded, losses["loss"])


@pytest.mark.parametrize("name", [name for name in cases("beit_v2") if "vqkd" in name])
def test_codebook_moves(name: str, tmp_path: Path) -> None:
    """One step of training: the codes are read, then the vectors move."""
    case = golden(name)
    made = case.meta["constructor"]
    settings = {"heads": made["num_heads"], "decay": made["decay"]}
    loaded = load_saved({"model": case.group("weights.")}, tmp_path / "vqkd.pth", settings=settings)
    model, ctx = loaded.model.train(), Context(training=True)
    losses = model(of_tokenizer(case), ctx)
    agree("loss", losses["loss"], case["train.output.loss"])
    model.after_step(ctx)
    agree("vectors", model.get_buffer("encoder.book.vectors"), case["train.after.quantize.embedding.weight"])


@pytest.mark.parametrize("name", [name for name in cases("beit_v2") if "vqkd" in name])
def test_k_means(name: str) -> None:
    case = golden(name)
    for few in ("", "_few"):
        samples = torch.nn.functional.normalize(case["input.kmeans_samples"], dim=-1)
        agree(f"means{few}", kmeans(samples, case[f"mask.kmeans_index{few}"]), case[f"output.kmeans_means{few}"])
