"""Point-BERT, its tokenizer and its masks against the tensors recorded from its released code."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from maskedmod.modalities.points import MiniPointNet
from torch import Tensor

from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import from_masked
from maskedmod.core.model import MaskedModel
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.core.tokens import Tokens
from maskedmod.encoders.point_codes import PointCodes
from maskedmod.layers.corruption import swap
from maskedmod.masks.neighborhood import Neighborhood
from maskedmod.masks.random import Random, RatioSampler
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.zoo.layouts.parts import linear_rules, mask_token_rule
from maskedmod.zoo.layouts.points.parts import point_rules, pointnet_rules
from maskedmod.zoo.mapping import STATISTICS, Rule
from tests.parity.clouds import MOVED, filled, gradients_of, network_rules, queue_rules, state_agrees
from tests.parity.golden import Golden, agree, cases, golden

TOKENIZER = [name for name in cases("point_bert") if "dvae" in name] or ["point_bert/dvae"]
MASKS = [name for name in cases("point_bert") if name.endswith("mask")] or ["point_bert/mask"]
STUDENT = [name for name in cases("point_bert") if name not in (*TOKENIZER, *MASKS)]
HEAD, CONTRAST = "objectives.main.head", "objectives.contrast"


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


@pytest.mark.parametrize("name", MASKS)
def test_masks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks draw the recorded masks from the recorded numbers."""
    case = golden(name)
    low, high = case.meta["constructor"]["mask_ratio"]
    pos = case["input.center"]
    rows = Tokens(torch.zeros(*pos.shape[:2], 1), pos)
    middle = torch.zeros(rows.shape).scatter(1, case["mask.index"][:, None], 1.0)
    drawn = iter([middle, (case["mask.ratio"].double() - low) / (high - low)])
    monkeypatch.setattr("maskedmod.masks.neighborhood.torch.rand", lambda *args, **kwargs: next(drawn))
    spec = Spec(values=1, axes=3, width=8, sees="mask_token")
    found = Neighborhood(spec, RatioSampler(low, high), each=True)(rows, Context())
    assert torch.equal(found.hidden, case["output.mask"].bool())
    noise = iter([case["mask.rand"]])
    monkeypatch.setattr("maskedmod.masks.random.torch.rand", lambda *args, **kwargs: next(noise))
    monkeypatch.setattr(RatioSampler, "draw", lambda self, ctx: float(case["mask.rand_u"]) * (self.high - self.low) + self.low)
    found = Random(spec, RatioSampler(low, high), bernoulli=True)(rows, Context())
    assert torch.equal(found.hidden, case["output.mask_rand"].bool())


def student_rules() -> list[Rule]:
    out = [
        *network_rules("transformer_q", "encoder"),
        *network_rules("transformer_k", "teacher.encoder"),
        *pointnet_rules(r"dvae\.encoder", "teacher.tokenizer.encoder.embed"),
        *edge_rules(r"dvae\.dgcnn_1", "teacher.tokenizer.encoder.edges"),
        *mask_token_rules("transformer_q", "encoder"),
        *mask_token_rules("transformer_k", "teacher.encoder"),
        *linear_rules(r"transformer_q\.lm_head", f"{HEAD}.pred"),
        Rule(r"transformer_k\.lm_head\..*", unneeded=MOVED),
        *queue_rules(f"{CONTRAST}.loss"),
    ]
    for which, to in (("q", f"{CONTRAST}.head"), ("k", f"{CONTRAST}.target.head")):
        out += [r for n in (0, 2) for r in linear_rules(rf"transformer_{which}\.cls_head\.{n}", f"{to}.layers.{n}")]
    return out


def mask_token_rules(at: str, to: str) -> list[Rule]:
    return [mask_token_rule(rf"{at}\.mask_token", f"{to}.mask_token")]


def student(case: Golden) -> MaskedModel:
    made, of, codes = (
        case.meta["constructor"],
        case.meta["constructor"]["transformer_config"],
        case.meta["constructor"]["dvae_config"],
    )
    assert of["dvae_loss"] and of["cutmix_loss"], "the recipe's objectives can be taken out, this test has them"
    narrow, swap = made["width_divisor"], of["replace_pob"]
    words = [
        "recipe=point_bert", "preset=released,cut_mix", "data=folder", "data.path=clouds",
        f"modality.points={case['input.points'].shape[1]}", f"modality.groups={codes['num_group']}",
        f"modality.group_size={codes['group_size']}", f"modality.pointnet=[{128 // narrow},{256 // narrow},{512 // narrow}]",
        f"modality.group_width={codes['encoder_dims']}", f"mask.swap={swap}",
        f"mask.ratio={{low: {of['mask_ratio'][0]}, high: {of['mask_ratio'][1]}}}",
        f"encoder.sees={'corrupt' if swap else 'mask_token'}", f"encoder.depth={of['depth']}", f"encoder.width={of['trans_dim']}",
        f"encoder.heads={of['num_heads']}", f"encoder.drop_path={of['drop_path_rate']}", "teacher.checkpoint=random",
        f"teacher.momentum={made['m']}", f"target.vocab={codes['num_tokens']}",
        f"objectives.main.region={'all' if of['return_all_tokens'] else 'masked'}",
        f"objectives.contrast.target.momentum={made['m']}", f"objectives.contrast.target.width={of['cls_dim']}",
        f"objectives.contrast.head.hidden={of['cls_dim']}", f"objectives.contrast.loss.size={made['K']}",
        f"objectives.contrast.loss.temperature={made['T']}",
    ]  # fmt: skip
    if of["moco_loss"]:
        words += ["objectives.contrast.views=[main,mix]", "objectives.contrast.weight=2.0"]
    model = build_model(resolve(words))
    spec = model.modality.spec
    encoder = PointCodes(
        spec, lambda width: MiniPointNet(width, 3, 128 // narrow, 256 // narrow, 512 // narrow), codes["encoder_dims"],
        codes["num_tokens"], base=128 // narrow, code_width=codes["tokens_dims"],
    )  # fmt: skip
    model.teacher.tokenizer._take(encoder)  # type: ignore[union-attr, operator]
    never = ("teacher.tokenizer.encoder.book", "teacher.tokenizer.encoder.temperature")
    return filled(model, case, student_rules(), never)


def mask_of(case: Golden, name: str, rows: Tokens) -> MaskSet:
    mask: MaskSet = from_masked(case[f"mask.{name}_mask"].bool())
    share = case.meta["constructor"]["transformer_config"]["replace_pob"]
    if not share:
        return mask
    return swap(mask, case[f"mask.{name}_replace_rand"] < share, case[f"mask.{name}_replace_perm"].view(rows.shape), rows)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", STUDENT)
def test_point_bert(name: str, mode: str) -> None:
    case = golden(name)
    model, ctx = student(case).train(mode == "train"), Context(training=False)
    at = "train." if mode == "train" else ""
    model.teacher.update(model.encoder, ctx)  # type: ignore[union-attr]  # the release moves its average before a step
    model.objectives["contrast"].target.after_step(ctx)  # type: ignore[operator, union-attr]
    batch = {"points": case["input.points"], "mix_share": case["mask.mix_ratio"], "mix_noise": case["mask.mix_rand"]}
    tokens, step = model.modality.tokenize(batch), Step(model.modality, batch, ctx)
    agree("mixed centres", tokens["mix"].pos, case["latent.mix_center"])
    for view, theirs in (("main", "q"), ("mix", "mix")):
        own = mask_of(case, "k", tokens[view]) if view == "main" else None
        step.views[view] = model.view(tokens[view], ctx, mask_of(case, theirs, tokens[view]), own, view)
    main: Any = model.objectives["main"]
    every = step.views["main"].mask.where("all")
    for view, codes, latent, pred in (("main", "codes", "encoder", "pred"), ("mix", "codes_mix", "mix_encoder", "pred_mix")):
        student_latent = step.views[view].student
        if mode == "eval":  # in training the tokenizer normalises by the batch, and what it says then is not recorded
            assert torch.equal(main.target(step, view, every)[:, 0], case[f"target.{codes}"])
            assert student_latent.prefix is not None
            agree(latent, torch.cat([student_latent.prefix, student_latent.tokens], dim=1), case[f"latent.{latent}"])
        found, reference = main.head(step.views[view], every)[:, 0], case[f"{at}output.{pred}"]
        agree(pred, found if reference.ndim == 3 else found[step.views[view].mask.hidden], reference)
    losses, contrast = model.score(step), model.objectives["contrast"]
    agree("codes", losses["main"] * main.weight, case[f"{at}output.loss_dvae_q"] + case[f"{at}output.loss_dvae_mix"])
    of_both = case[f"{at}output.loss_cutmix"] + case.tensors.get(f"{at}output.loss_moco", 0.0)
    agree("contrast", losses["contrast"] * contrast.weight, of_both)  # type: ignore[operator]
    agree("loss", losses["loss"], case[f"{at}output.loss"])
    losses["loss"].backward()
    gradients_of(case, model, student_rules(), mode)
    if mode == "train":
        contrast.loss.after_step(ctx)  # type: ignore[operator, union-attr]
        state_agrees(model, case.group("train.output.after."), student_rules())
        state_agrees(model, case.group("train.buffer."), student_rules())
