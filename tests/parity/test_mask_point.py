"""MaskPoint against the tensors recorded from its released code."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import from_masked
from maskedmod.core.model import MaskedModel
from maskedmod.core.step import Step
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.zoo.layouts.parts import linear_rules
from maskedmod.zoo.mapping import Rule
from tests.parity.clouds import MOVED, filled, gradients_of, network_rules, queue_rules, reduced, state_agrees
from tests.parity.golden import Golden, agree, cases, golden

HEAD, CONTRAST = "objectives.main.head", "objectives.contrast"
FIRST_NORM = f"{HEAD}.blocks.0.norm1.weight"


def rules_of(moco: bool, linear: bool = True) -> list[Rule]:
    block, of = r"transformer_q\.decoder\.blocks\.(\d+)", rf"{HEAD}.blocks.\1"
    out = [
        *network_rules("transformer_q", "encoder", linear),
        *(Rule(rf"{block}\.attn\.{name}_proj\.weight", rf"{of}.{name}.weight") for name in "qkv"),
        Rule(rf"{block}\.attn\.proj\.(weight|bias)", rf"{of}.proj.\2"),
        Rule(rf"{block}\.((?:norm[12]|mlp\.fc[12])\.(?:weight|bias))", rf"{of}.\2"),
        *linear_rules(r"transformer_q\.bin_cls_head\.0", f"{HEAD}.fc"),
        *linear_rules(r"transformer_q\.bin_cls_head\.2", f"{HEAD}.pred"),
        Rule(r"transformer_[qk]\.mask_token", unneeded="no part of the released forward pass reads it"),
    ]
    if not moco:
        return [*out, Rule(r"transformer_q\.cls_head\..*", unneeded="of the contrast, which is off")]
    for which, to in (("q", f"{CONTRAST}.head"), ("k", f"{CONTRAST}.target.head")):
        for number in (0, 2):
            out += linear_rules(rf"transformer_{which}\.cls_head\.{number}", f"{to}.layers.{number}")
    unread = Rule(r"transformer_k\.(?:decoder|bin_cls_head)\..*", unneeded=MOVED)
    return [*out, *network_rules("transformer_k", "teacher.encoder", linear), unread, *queue_rules(f"{CONTRAST}.loss")]


def built(case: Golden) -> MaskedModel:
    """The recipe with the constructor's options."""
    made = case.meta["constructor"]
    of, divisor = made["transformer_config"], case.meta["constructor"].get("mini_pointnet_divisor", 1)
    moco, focal = of["use_moco_loss"], of["use_focal_loss"]
    dynamic, fixed = of["ambiguous_dynamic_threshold"], of["ambiguous_threshold"]
    ratio = of["mask_ratio"]
    words = [
        "recipe=mask_point", f"preset=released{',moco' if moco else ''}", "data=folder", "data.path=clouds",
        f"modality.points={case['input.points'].shape[1]}", f"modality.groups={of['num_group']}",
        f"modality.group_size={of['group_size']}", f"modality.group_width={of['encoder_dims'] if reduced(case) else 'null'}",
        f"modality.pointnet=[{128 // divisor},{256 // divisor},{512 // divisor}]",
        f"mask.ratio={{low: {ratio[0]}, high: {ratio[1]}}}" if isinstance(ratio, list) else f"mask.ratio={ratio}",
        f"encoder.depth={of['depth']}", f"encoder.width={of['trans_dim']}", f"encoder.heads={of['num_heads']}",
        f"encoder.drop_path={of['drop_path_rate']}",
        f"encoder.position_hidden={made.get('pos_embed_hidden_dim', 128)}",
        f"head.depth={of['dec_depth']}", f"head.heads={of['num_heads']}",
        f"target.real={of['dec_query_real_num']}", f"target.fake={of['dec_query_fake_num']}",
        f"target.query={'points' if of['dec_query_mode'] == 'points' else 'centres'}",
        f"target.spacing={dynamic}" if dynamic > 0 else f"target.near={max(0.0, fixed)}",
    ]  # fmt: skip
    if of["use_sigmoid"]:
        gamma, alpha = (of["focal_loss_gamma"], of["focal_loss_alpha"]) if focal else (0.0, "null")
        words += [f"loss.gamma={gamma}", f"loss.alpha={alpha}"]
    else:
        words += ["target.goal=class", "loss=cross_entropy"]
    if moco:
        words += [
            f"teacher.momentum={made['m']}", f"objectives.contrast.target.momentum={made['m']}",
            f"objectives.contrast.target.width={of['cls_dim']}", f"objectives.contrast.head.hidden={of['cls_dim']}",
            f"objectives.contrast.loss.size={made['K']}", f"objectives.contrast.loss.temperature={made['T']}",
            f"objectives.contrast.weight={of['moco_loss_weight']}", f"objectives.main.weight={of['query_loss_weight']}",
        ]  # fmt: skip
    return filled(build_model(resolve(words)), case, rules_of(moco, reduced(case)))


def mask_of(case: Golden, name: str = "") -> MaskSet:
    """One order of the groups for the batch, of which the first are hidden."""
    of = case.meta["constructor"]["transformer_config"]
    ratio = float(case[f"mask.ratio{name}"]) if isinstance(of["mask_ratio"], list) else of["mask_ratio"]
    hidden = torch.zeros(case["latent.center"].shape[:2], dtype=torch.bool)
    hidden[:, case[f"mask.perm{name}"][: int(ratio * of["num_group"])]] = True
    return from_masked(hidden)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", cases("mask_point"))
def test_mask_point(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = golden(name)
    moco = case.meta["constructor"]["transformer_config"]["use_moco_loss"]
    model = built(case).train(mode == "train")
    if moco:  # the release moves its average before a step, here it is moved after one
        model.teacher.update(model.encoder, Context())  # type: ignore[union-attr]
        model.objectives["contrast"].target.after_step(Context())  # type: ignore[operator, union-attr]
    batch, ctx = {"points": case["input.points"]}, Context(training=False)
    tokens = model.modality.tokenize(batch)["main"]
    agree("centres", tokens.pos, case["latent.center"])
    mask = mask_of(case)
    step = Step(model.modality, batch, ctx, {"main": model.view(tokens, ctx, mask, mask_of(case, "_k") if moco else None)})
    view, at = step.views["main"], "train." if mode == "train" else ""
    drawn = case["mask.fake_u"]
    monkeypatch.setattr("maskedmod.targets.occupancy.torch.rand", lambda *args, **kwargs: drawn)
    main: Any = model.objectives["main"]
    where = main.where(step, "main")
    real = where.at.shape[2] - drawn.shape[1]
    agree("queries", where.at[:, 0], case["latent.queries"])
    kept = where.weight[:, 0] > 0
    assert torch.equal(kept, case["target.labels"] >= 0) and (case["target.labels"][:, :real] == 1).all()
    if mode == "eval":
        assert view.student.prefix is not None
        agree("encoder", torch.cat([view.student.prefix, view.student.tokens], dim=1), case["latent.encoder"])
    agree("prediction", main.head(view, where)[:, 0].mT, case[f"{at}output.pred"])
    losses = model.score(step)
    agree("query loss", losses["main"] * main.weight, case[f"{at}output.loss_query"])
    if moco:
        agree("contrast", losses["contrast"] * model.objectives["contrast"].weight, case[f"{at}output.loss_moco"])  # type: ignore[operator, union-attr]
    agree("loss", losses["loss"], case[f"{at}output.loss"])
    losses["loss"].backward()
    gradients_of(case, model, rules_of(moco, reduced(case)), mode, (FIRST_NORM,))
    if mode == "train":
        if moco:
            model.objectives["contrast"].loss.after_step(ctx)  # type: ignore[operator, union-attr]
            state_agrees(model, case.group("train.output.after."), rules_of(moco, reduced(case)))
        state_agrees(model, case.group("train.buffer."), rules_of(moco, reduced(case)))
