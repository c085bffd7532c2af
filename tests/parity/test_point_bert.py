"""Point-BERT's tokenizer and masks against the tensors recorded from its released code."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from maskedmod.core.context import Context
from maskedmod.core.model import MaskedModel
from maskedmod.core.step import Step
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.zoo.layouts.parts import linear_rules
from maskedmod.zoo.layouts.points.parts import point_rules, pointnet_rules
from maskedmod.zoo.mapping import STATISTICS, Rule
from tests.parity.clouds import filled, gradients_of, state_agrees
from tests.parity.golden import Golden, agree, cases, golden

TOKENIZER = [name for name in cases("point_bert") if "dvae" in name] or ["point_bert/dvae"]
HEAD = "objectives.main.head"


def edge_rules(at: str, to: str) -> list[Rule]:
    """A DGCNN, whose convolutions over single places are linear maps."""
    out = point_rules(rf"{at}\.input_trans", f"{to}.first")
    for number in range(1, 6):
        layer, norm = (f"{to}.layers.{number - 1}", f"{to}.norms.{number - 1}") if number < 5 else (f"{to}.last", f"{to}.norm")
        out.append(Rule(rf"{at}\.layer{number}\.0\.weight", f"{layer}.weight", lambda x: x.flatten(1)))
        out += linear_rules(rf"{at}\.layer{number}\.1", norm)
    return out


def folding_rules(at: str, to: str) -> list[Rule]:
    out = [rule for number in (0, 2, 4) for rule in linear_rules(rf"{at}\.mlp\.{number}", f"{to}.points.{number}")]
    for number, place in enumerate((0, 3, 6), 1):
        out += point_rules(rf"{at}\.final_conv\.{place}", f"{to}.fold{number}")
    for number, place in enumerate((1, 4), 1):
        out.append(Rule(rf"{at}\.final_conv\.{place}\.{STATISTICS}", rf"{to}.norm{number}.\1"))
    return out


RULES = [
    *pointnet_rules("encoder", "encoder.embed"),
    *edge_rules(r"dgcnn_1", "encoder.edges"),
    Rule("codebook", "encoder.book"),
    *edge_rules(r"dgcnn_2", f"{HEAD}.edges"),
    *folding_rules("decoder", HEAD),
]


def built(case: Golden, hard: bool) -> MaskedModel:
    made, how = case.meta["constructor"], case.meta["forward"]
    narrow, fold = made["width_divisor"], made["folding_width_divisor"]
    words = [
        "recipe=point_bert_tokenizer", "data=folder", "data.path=clouds", f"modality.points={case['input.points'].shape[1]}",
        f"modality.groups={made['num_group']}", f"modality.group_size={made['group_size']}",
        f"modality.pointnet=[{128 // narrow},{256 // narrow},{512 // narrow}]", f"encoder.width={made['encoder_dims']}",
        f"encoder.code_width={made['tokens_dims']}", f"encoder.codes={made['num_tokens']}", f"encoder.base={128 // narrow}",
        f"encoder.temperature={how['temperature']}", f"encoder.hard={'true' if hard else 'false'}",
        f"head.width={made['decoder_dims']}", f"head.hidden={1024 // fold}", f"head.base={128 // narrow}",
        f"loss.coarse={made['group_size'] // 4}", f"objectives.usage.target.codes={made['num_tokens']}",
        f"objectives.usage.weight={how['kld_weight']}",
    ]  # fmt: skip
    return filled(build_model(resolve(words)), case, RULES, ("encoder.temperature",))


def one_step(case: Golden, model: MaskedModel, monkeypatch: pytest.MonkeyPatch) -> Step:
    """The model's own step with the recorded noise. Codes are drawn in evaluation too, as the release does when it is called."""
    drawn = case["mask.exponential"]
    model.encoder.training = True
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda self: drawn.clone())
    batch, ctx = {"points": case["input.points"]}, Context(training=False)
    tokens = model.modality.tokenize(batch)["main"]
    theirs = case["mask.knn_idx"].sort(-1).values
    assert torch.equal(tokens.index.sort(-1).values, theirs), "order within a group is undefined there"  # type: ignore[attr-defined]
    return Step(model.modality, batch, ctx, {"main": model.view(tokens, ctx)})


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", TOKENIZER)
def test_tokenizer(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = golden(name)
    model = built(case, case.meta["forward"]["hard"]).train(mode == "train")
    step, at = one_step(case, model, monkeypatch), "train." if mode == "train" else ""
    view = step.views["main"]
    if mode == "eval":
        agree("scores", view.student.taps["vectors"], case["latent.logits"])
        agree("drawn", view.student.tokens, case["latent.sampled"])
    assert torch.equal(view.student.taps["codes"], case[f"{at}output.codes"])
    losses, coarse, fine = scored(case, model, step)
    agree("coarse", coarse, case[f"{at}output.coarse"])
    agree("fine", fine, case[f"{at}output.fine"])
    agree("reconstruction", losses["main"], case[f"{at}output.loss_recon"])
    agree("KL", losses["usage"], case[f"{at}output.loss_kl"])
    agree("loss", losses["loss"], case[f"{at}output.loss"])
    losses["loss"].backward()
    gradients_of(case, model, RULES, mode)
    if mode == "train":
        state_agrees(model, case.group("train.buffer."), RULES)


@pytest.mark.parametrize("name", TOKENIZER)
def test_one_code_drawn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = golden(name)
    model = built(case, hard=True).eval()
    step = one_step(case, model, monkeypatch)
    agree("drawn", step.views["main"].student.tokens, case["latent.sampled_hard"])
    losses, _, fine = scored(case, model, step)
    agree("fine", fine, case["output.fine_hard"])
    agree("reconstruction", losses["main"], case["output.loss_recon_hard"])


def scored(case: Golden, model: MaskedModel, step: Step) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Losses, and the coarse and fine points of every group that the head gave on the way."""
    heard: list[Tensor] = []
    head: Any = model.objectives["main"].head  # type: ignore[union-attr]
    head.register_forward_hook(lambda module, given, out: heard.append(out))
    losses, coarse = model.score(step), case.meta["constructor"]["group_size"] // 4
    points = heard[0][:, 0].unflatten(-1, (-1, 3))
    return losses, points[:, :, :coarse], points[:, :, coarse:]
