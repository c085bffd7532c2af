"""Targets and teachers where no recorded tensor covers them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from maskedmod.core.apply import Seen
from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.model import MaskedModel, Objective
from maskedmod.core.schedules import Ramp
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.encoders.transformer import Transformer
from maskedmod.layers.positions import lattice
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.targets.feature import Feature
from maskedmod.targets.raw import Raw
from maskedmod.teachers.ema import Ema
from maskedmod.teachers.frozen import Frozen
from maskedmod.zoo.load import Checkpoints

SPEC = Spec(values=12, axes=2, grid=(4, 4), width=16, teacher=16)


def encoder(seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    return Transformer(SPEC, lambda width: nn.Linear(12, width), depth=2, width=16, heads=2)


def tiny(*words: str) -> MaskedModel:
    base = [
        "recipe=mae",
        "preset=demo",
        "modality.size=32",
        "encoder.depth=2",
        "encoder.width=32",
        "encoder.heads=2",
        "head.depth=1",
    ]
    torch.manual_seed(0)
    return build_model(
        resolve([*base, "head.width=32", "head.heads=2", "modality.mean=imagenet", "modality.std=imagenet", *words])
    )


def images(model: MaskedModel, count: int = 4) -> dict[str, torch.Tensor]:
    records = model.modality.demo("val")
    return model.modality.collate([model.modality.read(records[i]) for i in range(count)])


def context() -> Context:
    return Context(training=False, generator=torch.Generator().manual_seed(0))


def test_normalised_patches_are_restored_to_the_values() -> None:
    model = tiny("target.norm=patch")
    view = model.step(images(model), context()).views["main"]
    step = model.step(images(model), context())
    objective = model.objectives["main"]
    assert isinstance(objective, Objective)
    goal = objective.target(step, "main", view.mask.where("all"))[:, 0]
    assert abs(goal.mean()) < 1e-3 and abs(goal.var(-1) - 1).max() < 1e-2
    restored = objective.target.restore(goal, view)
    assert restored is not None
    torch.testing.assert_close(restored, view.tokens.values, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("norm", ["none", "layer", "instance", "l2"])
def test_feature_averages_normalised_layers(norm: str) -> None:
    target = Feature(SPEC, layers=(0, 1), norm=norm)  # type: ignore[arg-type]
    taps = {"block.0": torch.randn(3, 16, 16) * 4 + 1, "block.1": torch.randn(3, 16, 16)}
    by_hand = {
        "none": lambda x: x,
        "layer": lambda x: (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt(),
        "instance": lambda x: (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=0) + 1e-5).sqrt(),
        "l2": lambda x: F.normalize(x, dim=-1),
    }[norm]
    expected = (by_hand(taps["block.0"]) + by_hand(taps["block.1"])) / 2
    torch.testing.assert_close(target.all_tokens(Latent(torch.zeros(3, 16, 16), taps=taps)), expected)


def test_raw_of_ids_is_refused() -> None:
    with pytest.raises(ValueError, match="token_ids"):
        Raw(Spec(values=1, axes=1, vocab=20))


def test_ema_follows_its_schedule() -> None:
    student = encoder()
    teacher = Ema(SPEC, student, Ramp(0.5, 1.0))
    before = {name: p.clone() for name, p in teacher.encoder.named_parameters()}
    with torch.no_grad():
        for p in student.parameters():
            p.add_(1.0)
    teacher.update(student, Context(step=5, max_steps=10))
    for name, p in teacher.encoder.named_parameters():
        torch.testing.assert_close(p, before[name] + 0.25)
        assert not p.requires_grad
    teacher.update(student, Context(step=10, max_steps=10))
    torch.testing.assert_close(next(teacher.encoder.parameters()), next(iter(before.values())) + 0.25)


def test_a_teacher_never_drops() -> None:
    torch.manual_seed(0)
    student = Transformer(SPEC, lambda width: nn.Linear(12, width), depth=2, width=16, heads=2, drop_path=0.9)
    teacher = Ema(SPEC, student).train()
    tokens = Tokens(torch.randn(2, 16, 12), lattice((4, 4)).expand(2, -1, -1), Layout(grid=(4, 4)))
    assert torch.equal(teacher(Seen(tokens)).tokens, teacher(Seen(tokens)).tokens)
    assert not teacher.encoder.training


def test_frozen_teacher_takes_the_encoder_of_a_run(tmp_path: Path) -> None:
    source = encoder(seed=7)
    path = tmp_path / "model.safetensors"

    def frozen(seed: int = 0, file: Path = path) -> Frozen:
        made = Frozen(SPEC, encoder(seed=seed), str(file))
        made.read(Checkpoints())
        return made

    save_file({f"encoder.{k}": v.contiguous() for k, v in source.state_dict().items()}, path)
    teacher = frozen(seed=1)
    assert torch.equal(teacher.encoder.state_dict()["blocks.0.attn.qkv.weight"], source.state_dict()["blocks.0.attn.qkv.weight"])
    save_file({"encoder.other": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="missing keys"):
        frozen()
    with pytest.raises(ValueError, match="expected the model.safetensors"):
        frozen(file=tmp_path / "none")


def test_k_masks_share_one_teacher_pass() -> None:
    model = tiny("mask.masks_per_sample=3", "teacher=ema", "target=feature")
    calls = []
    assert model.teacher is not None
    model.teacher.register_forward_hook(lambda *_: calls.append(1))
    out = model(images(model), context())
    assert len(calls) == 1 and torch.isfinite(out["loss"])


def test_k_masks_give_the_mean_of_k_single_masks() -> None:
    """Loss over B*K rows equals the mean over the K masks taken one by one (same counts)."""
    model = tiny("mask.masks_per_sample=2").eval()
    batch = model.modality.prepare(images(model), context())
    tokens = model.modality.tokenize(batch)["main"]
    both = model.view(tokens, context())
    step = model.step(images(model), context())
    losses = []
    for k in range(2):
        one = type(both.mask)(both.mask.role[k::2], both.mask.keep[k::2], both.mask.targets[k::2])
        step.views["main"] = model.view(tokens, context(), one)
        losses.append(model.score(step)["loss"])
    step.views["main"] = both
    torch.testing.assert_close(model.score(step)["loss"], torch.stack(losses).mean())


def test_needs_are_checked_when_the_model_is_built() -> None:
    with pytest.raises(ValueError, match="needs a teacher"):
        tiny("target=feature")
    words = ["recipe=mae", "preset=demo", "head=linear"]
    with pytest.raises(ValueError, match="sees=mask_token"):
        build_model(resolve(words))
    build_model(resolve([*words, "encoder.sees=mask_token"]))


def test_mean_over_valid_tokens() -> None:
    x = torch.randn(2, 5, 3)
    valid = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], dtype=torch.bool)
    torch.testing.assert_close(Latent(x, Layout(valid=valid)).mean()[1], x[1, :2].mean(0))
    packed = Latent(x[0], Layout(cu_seqlens=torch.tensor([0, 2, 5])))
    torch.testing.assert_close(packed.mean(), torch.stack([x[0, :2].mean(0), x[0, 2:].mean(0)]))
