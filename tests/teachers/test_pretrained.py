"""Pretrained teachers: other patch sizes, statistics and lattices; tokenizers; what is no part of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import maskedmod
from maskedmod.core.apply import Seen
from maskedmod.core.context import Context
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.teachers.pretrained import Pretrained
from maskedmod.zoo.load import Checkpoints
from tests.parity.golden import agree
from tests.zoo.test_load import fair_encoder, saved

WORDS = ["recipe=mae", "preset=demo", "encoder.depth=2", "encoder.width=32", "encoder.heads=4", "encoder.sees=mask_token"]
WORDS += [
    "head=linear",
    "target=feature",
    "mask=random",
    "mask.ratio=0.4",
    "modality.mean=[0.4,0.5,0.6]",
    "modality.std=[0.2,0.2,0.3]",
]
FIT = ["modality.size=32", "modality.patch_size=8"]  # a lattice of 4 x 4, as the teacher has with patches of 4


def teacher_file(folder: Path) -> str:
    return str(saved(folder, {"model": fair_encoder(), "args": {"heads": 2}}, "teacher.pth"))


def student(*words: str) -> Any:
    return build_model(resolve([*WORDS, *words]), checkpoints=Checkpoints())


def batch(size: int = 32) -> dict[str, Any]:
    return {"image": torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8), "size": torch.tensor([[size, size]] * 3)}


def test_features_are_those_of_the_teacher_on_its_own_pixels(tmp_path: Path) -> None:
    file = teacher_file(tmp_path)
    model = student(*FIT, "teacher=pretrained", f"teacher.checkpoint={file}")
    assert model.teacher.width == 32 and not [key for key in model.state_dict() if key.startswith("teacher")]
    assert not list(model.teacher.parameters())
    images = batch()
    step = model.step(images, Context(training=False, generator=torch.Generator().manual_seed(0)))
    loaded = maskedmod.load(file)
    mean, std = (torch.tensor(loaded.modality.statistics[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    pixels = F.interpolate(images["image"].float() / 255, (16, 16), mode="bicubic", antialias=True)
    tokens = loaded.modality.tokenize({"pixels": (pixels - mean) / std})["main"]
    with torch.no_grad():
        agree("features", step.views["main"].teacher.tokens, loaded.model.encoder(Seen(tokens)).tokens, 1e-4)
    model.score(step)["loss"].backward()


def test_weights_are_read_when_they_are_needed(tmp_path: Path) -> None:
    model = student(*FIT, "teacher=pretrained", "teacher.checkpoint=nowhere/at_all.pth", "teacher.width=32")
    with pytest.raises(UserError, match="no such file"):
        model(batch(), Context(generator=torch.Generator()))
    wrong = student(*FIT, "teacher=pretrained", f"teacher.checkpoint={teacher_file(tmp_path)}", "teacher.width=48")
    with pytest.raises(UserError, match="width 32, teacher.width is 48"):
        wrong(batch(), Context(generator=torch.Generator()))


def test_building_draws_the_same_weights_with_a_teacher(tmp_path: Path) -> None:
    """The student's start does not depend on what was loaded beside it."""
    file = teacher_file(tmp_path)
    states = []
    for width in ("null", "32"):
        torch.manual_seed(5)
        states.append(student(*FIT, "teacher=pretrained", f"teacher.checkpoint={file}", f"teacher.width={width}").state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_another_lattice_is_fitted_only_when_asked(tmp_path: Path) -> None:
    weights = fair_encoder()
    weights["pos_embed"] = torch.randn(1, 17, 32)
    file = str(saved(tmp_path, {"model": weights, "args": {"heads": 2}}, "teacher.pth"))
    words = ["modality.size=48", "modality.patch_size=8", "teacher=pretrained", f"teacher.checkpoint={file}"]
    with pytest.raises(UserError, match=r"lattice of \(4, 4\), the tokens lie on \(6, 6\)"):
        student(*words)
    model = student(*words, "teacher.resize=bicubic")
    assert torch.isfinite(model(batch(48), Context(generator=torch.Generator()))["loss"])


def test_channels_and_kinds_must_agree(tmp_path: Path) -> None:
    file = teacher_file(tmp_path)
    one = student(
        *FIT,
        "modality.channels=1",
        "modality.mean=[0.4]",
        "modality.std=[0.2]",
        "teacher=pretrained",
        f"teacher.checkpoint={file}",
    )
    with pytest.raises(UserError, match="sees 3 channels, the student 1"):
        one({**batch(), "image": batch()["image"][:, :1]}, Context(generator=torch.Generator()))


def test_codes_need_a_tokenizer(tmp_path: Path) -> None:
    words = ["teacher=pretrained", f"teacher.checkpoint={teacher_file(tmp_path)}", "target=tokenizer_ids", "loss=cross_entropy"]
    with pytest.raises(ValueError, match="codes of teacher=tokenizer"):
        student(*FIT, *words, "target.vocab=16")(batch(), Context(generator=torch.Generator()))


def test_teacher_is_frozen_and_evaluates(tmp_path: Path) -> None:
    model = student(
        *FIT, "teacher=pretrained", f"teacher.checkpoint={teacher_file(tmp_path)}", "teacher.taps=[attention.-1]"
    ).train()
    teacher = model.teacher
    assert isinstance(teacher, Pretrained)
    step = model.step(batch(), Context(generator=torch.Generator()))
    latent = step.views["main"].teacher
    assert latent.taps["attention.-1"].shape == (3, 2, 17, 17) and not latent.tokens.requires_grad
    assert not teacher._teacher(torch.device("cpu")).model.training


def test_a_name_is_a_pretrained_teacher() -> None:
    """``teacher=facebook/dinov2-base`` alone; arguments beside it are kept."""
    tree = resolve([*WORDS, *FIT, "teacher=facebook/dinov2-base", "teacher.width=768"])
    assert tree["teacher"]["pretrained"]["checkpoint"] == "facebook/dinov2-base"
    with pytest.raises(UserError, match="unknown teacher block 'emma'"):
        resolve([*WORDS, *FIT, "teacher=emma"])
