"""Point-MAE against the tensors recorded from its released code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from maskedmod.modalities.points.geometry import group_points
from torch import Tensor

from maskedmod.api.loaded import Loaded
from maskedmod.core.context import Context
from maskedmod.core.masking import from_masked
from maskedmod.core.step import Step
from maskedmod.core.tokens import Tokens
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.zoo.layouts.points import point_mae
from maskedmod.zoo.mapping import convert
from tests.conftest import parity_case
from tests.parity.golden import GRADIENT, Golden, agree, cases, golden, gradients_agree, load_saved, one_step


def loaded_case(case: Golden, folder: Path, prefix: str = "module.") -> Loaded:
    made, settings = case.meta["constructor"], case.meta["constructor"]["transformer_config"]
    content = {"base_model": {f"{prefix}{key}": x for key, x in case.group("weights.").items()}, "epoch": 300}
    given = {
        "points": case["input.points"].shape[1], "groups": made["num_group"], "heads": settings["num_heads"],
        "decoder_heads": settings["decoder_num_heads"], "mask_ratio": settings["mask_ratio"], "chamfer": made["loss"],
        "mask": settings["mask_type"],
    }  # fmt: skip
    return load_saved(content, folder / "ckpt-last.pth", settings=given)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", cases("point_mae"))
def test_evaluation(name: str, prefix: str, tmp_path: Path) -> None:
    case = golden(name)
    loaded = loaded_case(case, tmp_path, prefix)
    assert loaded.layout == "point_mae"
    made = case.meta["constructor"]
    groups = group_points(case["input.points"], made["num_group"], made["group_size"], 1e-3)
    assert torch.equal(groups.centre_index, case["mask.fps_idx"]) and torch.equal(groups.index, case["mask.knn_idx"])
    mask = from_masked(case["mask.mask"].bool())
    step, losses = one_step(loaded, {"points": case["input.points"]}, mask)
    view = step.views["main"]
    agree("centres", view.tokens.pos, case["latent.center"])
    agree("groups", view.tokens.values, case["latent.neighborhood"])
    agree("embedded groups", loaded.model.encoder.embed(view.tokens.values), case["latent.tokens"])
    agree("encoder", view.student.tokens, case["latent.encoder"])
    agree("prediction", prediction(loaded, step), case["output.pred"])
    agree("loss", losses["loss"], case["output.loss"])
    gradients_agree(case, loaded, losses["loss"])


@pytest.mark.parametrize("name", cases("point_mae"))
def test_masks_of_the_constructor(name: str, tmp_path: Path) -> None:
    """As many groups as were hidden there; with block masks the very ones, once the middle is known."""
    case = golden(name)
    kind = case.meta["constructor"]["transformer_config"]["mask_type"]
    loaded = loaded_case(case, tmp_path)
    rows = loaded.model.modality.tokenize({"points": case["input.points"]})["main"]
    recorded = case["mask.mask"].bool()
    drawn = loaded.model.mask(rows, Context(generator=torch.Generator().manual_seed(0)))
    assert torch.equal(drawn.hidden.sum(1), recorded.sum(1)) and (kind == "block") == ("mask.block_index" in case)
    if kind == "block":
        middle = rows.pos.take_along_dim(case["mask.block_index"][:, None, None], 1)
        assert torch.equal(around(rows.pos, middle, int(recorded.sum(1)[0])), recorded)
        chosen = [around(rows.pos, rows.pos[:, i : i + 1], int(recorded.sum(1)[0])) for i in range(rows.pos.shape[1])]
        assert torch.stack(chosen).eq(drawn.hidden).all(-1).any(0).all(), "a hole around no token"


def around(pos: Tensor, middle: Tensor, count: int) -> Tensor:
    """The ``count`` tokens nearest to a place."""
    nearest = (pos - middle).square().sum(-1).argsort(1)[:, :count]
    return torch.zeros(pos.shape[:2], dtype=torch.bool).scatter(1, nearest, True)


@pytest.mark.parametrize("name", cases("point_mae"))
def test_training(name: str, tmp_path: Path) -> None:
    """Batch statistics count the hidden groups too."""
    case = golden(name)
    loaded = loaded_case(case, tmp_path)
    loaded.model.train()
    step, losses = one_step(loaded, {"points": case["input.points"]}, from_masked(case["mask.mask"].bool()))
    agree("prediction", prediction(loaded, step), case["train.output.pred"])
    agree("loss", losses["loss"], case["train.output.loss"])
    losses["loss"].backward()
    rules = point_mae.rules(case.group("weights."), {})
    gradients = convert(case.group("train.grad."), rules)
    buffers = convert(case.group("train.buffer."), rules)
    assert (
        gradients.state
        and len(buffers.state) == len(case.group("train.buffer."))
        and not gradients.unexpected
        and not buffers.unexpected
    )
    for key, reference in gradients.state.items():
        found = loaded.model.get_parameter(key).grad
        assert found is not None
        agree(f"gradient of {key}", found, reference, GRADIENT)
    for key, reference in buffers.state.items():
        agree(key, loaded.model.get_buffer(key), reference)


def prediction(loaded: Loaded, step: Step) -> Tensor:
    view = step.views["main"]
    out: Any = loaded.model.objectives["main"].head(view, view.mask.where("masked"))
    return out.flatten(0, 2).unflatten(-1, (-1, 3))


def test_published_sizes() -> None:
    """29.0 million parameters in pre-training, counted layer by layer from the released code."""
    parity_case("parameter count point_mae")
    with torch.device("meta"):
        model = build_model(resolve(["recipe=point_mae", "data=folder", "data.path=clouds"]))

    def linear(inputs: int, outputs: int) -> int:
        return inputs * outputs + outputs

    d = 384
    pointnet = linear(3, 128) + 2 * 128 + linear(128, 256) + linear(512, 512) + 2 * 512 + linear(512, d)
    positions = linear(3, 128) + linear(128, d)
    block = 3 * d * d + linear(d, d) + linear(d, 4 * d) + linear(4 * d, d) + 4 * d
    encoder, decoder = pointnet + positions + 12 * block + 2 * d, positions + 4 * block + 2 * d + d + linear(d, 96)
    assert sum(x.numel() for x in model.encoder.parameters()) == encoder
    assert sum(x.numel() for x in model.parameters()) == encoder + decoder == 29_006_432
    rows = Tokens(torch.zeros(2, 64, 32, 3), torch.zeros(2, 64, 3))
    assert model.mask(rows, Context(generator=torch.Generator())).targets.shape[-1] == 38
