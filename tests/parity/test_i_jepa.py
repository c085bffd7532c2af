"""I-JEPA against the tensors recorded from its released code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskedmod.core.masking import from_lists
from maskedmod.zoo.layouts.image.i_jepa import SETTINGS
from tests.parity.golden import agree, cases, golden, gradients_agree, load_saved, one_step


@pytest.mark.parametrize("name", cases("i_jepa"))
def test_i_jepa(name: str, tmp_path: Path) -> None:
    case = golden(name)
    made = case.meta["constructor"]
    parts = ("encoder", "predictor", "target_encoder")
    content = {part: {f"module.{key}": x for key, x in case.group(f"weights.{part}.").items()} for part in parts}
    settings = {"heads": made["encoder"]["num_heads"], "predictor_heads": made["predictor"]["num_heads"]}
    settings |= {key: value for key, value in made["collator"].items() if key in SETTINGS}
    loaded = load_saved({**content, "opt": {"state": {}}, "epoch": 1, "lr": 1e-3}, tmp_path / "jepa.pth.tar", settings=settings)
    assert loaded.layout == "i_jepa" and {"opt", "epoch", "lr"} <= set(loaded.report.unneeded)
    contexts, targets = (torch.stack(list(case.group(f"mask.{kind}").values()), dim=1) for kind in ("enc", "pred"))
    b, k, j = *contexts.shape[:2], targets.shape[1]
    spec = loaded.model.modality.spec
    assert spec.grid is not None
    mask = from_lists(spec.grid[0] * spec.grid[1], contexts.flatten(0, 1), targets.repeat_interleave(k, 0), per_sample=k)
    step, losses = one_step(loaded, {"pixels": case["input.image"]}, mask)
    view, objective = step.views["main"], loaded.model.objectives["main"]
    assert view.teacher is not None
    agree("teacher", view.teacher.tokens, case["latent.target_raw"])
    agree("context", view.student.tokens.unflatten(0, (b, k)).transpose(0, 1).flatten(0, 1), case["latent.context"])

    def recorded_order(x: torch.Tensor) -> torch.Tensor:
        """``[B * K, J, T, D]`` -> blocks, then contexts, then samples."""
        return x.unflatten(0, (b, k)).permute(2, 1, 0, 3, 4).reshape(j * k * b, *x.shape[2:])

    where = mask.where("masked")
    agree("target", recorded_order(objective.target(step, "main", where)), case["latent.target"])
    agree("prediction", recorded_order(objective.head(view, where)), case["output.pred"])
    agree("loss", losses["loss"], case["output.loss"])
    gradients_agree(case, loaded, losses["loss"])
