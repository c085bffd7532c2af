"""The parts of training on labels: groups, mixing, goals, labels of tokens, the network."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from maskedmod.core.context import Context
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.errors import UserError
from maskedmod.evaluate.labels import Labels
from maskedmod.evaluate.token_labels import BEYOND, UNKNOWN, counts, encode_tokens, is_per_token, on_eligible
from maskedmod.finetune.classifier import Classifier, Net
from maskedmod.finetune.goals import Goal
from maskedmod.finetune.groups import layer_groups
from maskedmod.finetune.mixing import Mixing
from maskedmod.finetune.options import options
from maskedmod.recipe.build import build_encoder, build_modality
from maskedmod.support.compat import repair_torchvision
from tests.evaluate.toy import Flat, encoder, recipe

NAN = float("nan")


def classes(count: int = 3) -> Labels:
    return Labels("classes", torch.arange(count), tuple(map(str, range(count))))


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_layer_groups_are_those_of_timm(pool: Any) -> None:
    """ViT-B/16: rate and weight decay of every parameter, under the names of timm."""
    repair_torchvision()
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        theirs = timm.create_model("vit_base_patch16_224", num_classes=10, global_pool="token" if pool == "cls" else "avg")
        tree = {"modality": {"image": {}}, "encoder": {"transformer": {"positions": "learned"}}}
        modality = build_modality(tree)
        net = Net(build_encoder(tree, modality), pool, "samples", 768, 10, False)  # type: ignore[arg-type]
    from timm.optim import param_groups_layer_decay

    listed = theirs.no_weight_decay()
    wanted = {}
    names = {id(parameter): name for name, parameter in theirs.named_parameters()}
    for group in param_groups_layer_decay(theirs, 0.05, no_weight_decay_list=listed, layer_decay=0.65):
        wanted |= {names[id(p)]: (group["lr_scale"], group["weight_decay"] > 0, p.numel()) for p in group["params"]}
    found = {}
    for group in layer_groups(net, net.encoder, 0.65):
        for name, p in zip(group["names"], group["params"], strict=True):
            found[_timm(name)] = (group["lr_scale"], group["decay"], p.numel())
    positions = (found.pop("pos_embed"), wanted.pop("pos_embed"))  # theirs has a row for the class token too
    assert positions[0][:2] == positions[1][:2]
    if pool == "cls":  # MAE, BEiT: the norm before the head learns as the head does; timm: as the last block does
        for name in ("norm.weight", "norm.bias"):
            assert (found.pop(name)[0], wanted.pop(name)[0]) == (1.0, pytest.approx(0.65))
    assert found.keys() == wanted.keys() and len(found) == (149 if pool == "cls" else 151)
    for name in found:
        assert found[name] == pytest.approx(wanted[name], rel=1e-12), name
    assert found["patch_embed.proj.weight"][0] == pytest.approx(0.65**13) and found["head.weight"][0] == 1.0


def _timm(name: str) -> str:
    if name.startswith("norm."):
        return f"fc_{name}"
    name = name.removeprefix("encoder.")
    fixed = {"prefix_tokens": "cls_token", "positions.table": "pos_embed"}
    return fixed.get(name, name.replace("embed.", "patch_embed.proj.") if name.startswith("embed.") else name)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_mixed_goals_are_shares_of_what_is_in_the_signal(mixup: float, cutmix: float) -> None:
    """Constant samples: the mean of a mixed one says how much of each is in it, and the soft label must say the same."""
    image = build_modality({"modality": {"image": {"size": 16, "patch_size": 4}}})
    shares = torch.tensor([0.0, 1.0])
    signal = shares[:, None, None, None].expand(2, 3, 16, 16)
    seen = set()
    for step in range(12):
        goal = Goal(classes(2))(torch.tensor([0, 1]))
        batch, mixed = Mixing(mixup, cutmix)(image, {"pixels": signal}, goal, Context(step=step))
        assert torch.allclose(mixed.sum(1), torch.ones(2))
        assert torch.allclose(batch["pixels"].mean((1, 2, 3)), mixed[:, 1], atol=1e-5)
        again, _ = Mixing(mixup, cutmix)(image, {"pixels": signal}, goal, Context(step=step))
        assert torch.equal(again["pixels"], batch["pixels"])
        seen.add(bool(((batch["pixels"] == 0) | (batch["pixels"] == 1)).all()))
    assert seen == ({False} if not cutmix else {True} if not mixup else {True, False})


def test_what_cannot_be_mixed_is_refused() -> None:
    with pytest.raises(UserError, match="samples are arrays of numbers"):
        Mixing(0.5)(Flat(), {"x": torch.zeros(2, 4)}, torch.zeros(2, 2), Context())


def test_goals_smooth_classes_and_leave_missing_answers_out() -> None:
    goal = Goal(classes(4), smoothing=0.2)(torch.tensor([1]))
    assert torch.allclose(goal, torch.tensor([[0.05, 0.85, 0.05, 0.05]]))
    out = torch.randn(1, 4)
    wanted = torch.nn.functional.cross_entropy(out, torch.tensor([1]), label_smoothing=0.2)
    assert torch.allclose(Goal(classes(4), 0.2).loss(out, goal), wanted)

    y = torch.tensor([[1.0, NAN], [0.0, 1.0]])
    tags = Goal(Labels("tags", y))
    out = torch.tensor([[2.0, 99.0], [2.0, -1.0]], requires_grad=True)
    known = torch.nn.functional.binary_cross_entropy_with_logits(out[[0, 1, 1], [0, 0, 1]], torch.tensor([1.0, 0.0, 1.0]))
    loss = tags.loss(out, tags(y))
    assert torch.allclose(loss, known)
    loss.backward()
    assert out.grad is not None and out.grad[0, 1] == 0 and bool(out.grad.isfinite().all())


def test_numbers_are_learned_at_deviation_one_and_answered_on_their_scale() -> None:
    y = torch.tensor([[100.0, 7.0], [300.0, 7.0], [NAN, 7.0]])
    numbers = Goal(Labels("numbers", y))
    goal = numbers(y)
    assert torch.allclose(goal[:2, 0], torch.tensor([-1.0, 1.0])) and goal[2, 0].isnan() and bool((goal[:, 1] == 0).all())
    assert torch.allclose(numbers.answer(goal)[:2], y[:2]) and numbers.loss(goal.nan_to_num(5.0), goal) == 0


def test_labels_of_tokens_are_told_from_answers() -> None:
    assert is_per_token([[0, 1], [1, 2]]) and is_per_token([[0, 1], [1]]) and not is_per_token([[0, 1], [1, None]])
    labels = encode_tokens([[2, None, 10], ["-1", 2], [-1]], ["a", "b", "c"])
    assert labels.names == ("2", "10", "-1")
    assert labels.y.tolist() == [[0, UNKNOWN, 1], [2, 0, BEYOND], [UNKNOWN, BEYOND, BEYOND]]


def test_labels_belong_to_all_tokens_or_to_the_maskable_ones() -> None:
    labels = encode_tokens([[1, 1], [0]], ["a", "b"])
    assert not on_eligible(labels, torch.tensor([[2.0, 1.0], [1.0, 0.0]]), ["a", "b"])
    assert on_eligible(labels, torch.tensor([[4.0, 2.0], [3.0, 1.0]]), ["a", "b"])
    with pytest.raises(UserError, match="b: 1 labels for 3 tokens"):
        on_eligible(labels, torch.tensor([[2.0, 9.0], [3.0, 9.0]]), ["a", "b"])


def test_rows_of_packed_and_dense_tokens_are_the_same() -> None:
    """One answer a token that has a label, in the order of the labels; special tokens and padding have none."""
    torch.manual_seed(0)
    values, flat = torch.randn(5, 4), Flat()
    packed = Tokens(values, torch.zeros(5, 1), Layout(cu_seqlens=torch.tensor([0, 2, 5], dtype=torch.int32), max_seqlen=3))
    padded = torch.zeros(2, 3, 4)
    padded[0, :2], padded[1] = values[:2], values[2:]
    valid = torch.tensor([[True, True, False], [True, True, True]])
    dense = Tokens(padded, torch.zeros(2, 3, 1), Layout(valid=valid))
    net = Net(encoder(classes=0, positions="none"), "mean", "tokens", 16, 3, False).eval()
    assert net(packed, flat).shape == (5, 3) and torch.allclose(net(packed, flat), net(dense, flat), atol=1e-6)
    assert counts(packed, flat).tolist() == counts(dense, flat).tolist() == [[2, 2], [3, 3]]
    special = Tokens(padded, dense.pos, dense.layout, eligible=torch.tensor([[True, False, False], [False, True, True]]))
    net.rows = "eligible"
    assert net(special, flat).shape == (3, 3) and counts(special, flat).tolist() == [[2, 1], [3, 2]]


def test_the_average_follows_the_weights_and_is_judged() -> None:
    torch.manual_seed(0)
    net = Net(encoder(), "mean", "samples", 16, 3, False)
    model = Classifier(Flat(), net, Goal(classes()), Mixing(), ema=0.5)
    start = copy.deepcopy(net.head.weight.data)
    net.head.weight.data += 1.0
    model.after_step(Context(step=0))
    assert model.average is not None and model.judged is model.average
    assert torch.allclose(model.average.head.weight, start + 0.9)  # decay 1/10 at the first step
    net.head.weight.data += 1.0
    model.after_step(Context(step=1000))
    assert torch.allclose(model.average.head.weight, start + 0.5 * 0.9 + 0.5 * 2.0)
    assert not any(p.requires_grad for p in model.average.parameters()) and not model.train().average.training


def test_a_frozen_network_learns_in_its_last_layer_alone() -> None:
    net = Net(encoder(), "mean", "samples", 16, 3, True).train()
    names = [name for group in layer_groups(net, net.encoder, 1.0) for name in group["names"]]
    assert names == ["head.weight", "head.bias"] and not net.encoder.training and net.norm.training
    x = torch.randn(8, 4, 4)
    out: Tensor = net(Tokens(x, torch.zeros(8, 4, 1), Layout(grid=(4,))), Flat())
    out.sum().backward()
    assert all(p.grad is None for p in net.encoder.parameters()) and net.head.weight.grad is not None


@pytest.mark.parametrize(
    ("protocol", "given", "said"),
    [
        ("finetune", {"epochs": 0}, "epochs=0: must be above 0"),
        ("finetune", {"smoothing": 1.0}, "smoothing=1.0: must be at least 0 and below 1"),
        ("finetune", {"task": "class"}, "task=class: accepted are auto, classes"),
        ("linear_lars", {"mixup": 0.1}, "unknown key 'mixup' of protocol=linear_lars"),
        ("finetune", {"layerdecay": 0.1}, "did you mean layer_decay"),
    ],
)
def test_options_that_make_no_sense_are_named(protocol: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        options(protocol, given)


def test_the_toy_recipe_is_the_toy_encoder() -> None:
    assert recipe()["encoder"]["transformer"]["width"] == encoder().width
