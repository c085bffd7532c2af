"""``init=``: what is taken over, what is fitted by which rule, and how it is said."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import maskedmod
from maskedmod.core.apply import Seen
from maskedmod.errors import UserError
from maskedmod.layers import fit
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.train.initial import start_from
from tests.zoo.test_load import fair_encoder, saved

WORDS = ["recipe=mae", "preset=demo", "encoder.depth=2", "encoder.width=32", "encoder.heads=2", "encoder.positions=frozen"]
SAME = ["modality.size=16", "modality.patch_size=4"]


def weights() -> dict[str, Tensor]:
    return {**fair_encoder(), "pos_embed": torch.cat([torch.zeros(1, 1, 32), torch.randn(1, 16, 32)], dim=1)}


def model(*words: str) -> Any:
    return build_model(resolve([*WORDS, *words]))


def source(folder: Path) -> str:
    return str(saved(folder, {"model": weights(), "args": {"heads": 2}}))


def test_the_same_shapes_are_taken_over(tmp_path: Path) -> None:
    file = source(tmp_path)
    made = model(*SAME)
    reused = start_from(made, file)
    theirs = maskedmod.load(file).model.state_dict()
    assert all(torch.equal(made.state_dict()[name], theirs[name]) for name in reused.taken) and not reused.fitted
    assert {name.partition(".")[0] for name in reused.fresh} == {"objectives"}
    assert "tensors taken over" in reused.lines(file)[0]


def test_another_size_is_fitted_only_when_asked(tmp_path: Path) -> None:
    file = source(tmp_path)
    words = ["modality.size=48", "modality.patch_size=8"]
    made = model(*words)
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    reused = start_from(made, file)
    assert reused.reshaped == ["encoder.embed.weight", "encoder.positions.table"]
    assert all(torch.equal(made.state_dict()[name], before[name]) for name in reused.reshaped)
    assert any("init.resize=bicubic" in line for line in reused.lines(file))
    made = model(*words)
    reused = start_from(made, {"checkpoint": file, "resize": "bicubic"})
    assert set(reused.fitted) == {"encoder.embed.weight", "encoder.positions.table"} and not reused.reshaped
    text = "\n".join(reused.lines(file))
    assert "resized from a lattice of (4, 4) to (6, 6) (bicubic)" in text and "patches of (4, 4) to (8, 8)" in text
    field = weights_of(file, "encoder.positions.table").T.reshape(1, 32, 4, 4)
    wanted = F.interpolate(field, (6, 6), mode="bicubic", align_corners=False, antialias=True).flatten(2)[0].T
    torch.testing.assert_close(made.state_dict()["encoder.positions.table"], wanted)


def weights_of(file: str, name: str) -> Tensor:
    return maskedmod.load(file).model.state_dict()[name]


def test_a_fitted_patch_embedding_sees_what_it_saw(tmp_path: Path) -> None:
    """Enlarged patches give the same vectors: the pseudo-inverse undoes the enlargement."""
    kernel, patch = torch.randn(5, 4 * 4 * 3), torch.randn(2, 3, 4, 4)
    larger = F.interpolate(patch, (8, 8), mode="bicubic", align_corners=False, antialias=True)
    made = fit.patches(kernel, (4, 4), (8, 8), 3, "bicubic")
    rows = [x.permute(0, 2, 3, 1).flatten(1) for x in (patch, larger)]
    torch.testing.assert_close(rows[1] @ made.T, rows[0] @ kernel.T, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("channels", "rule"), [(1, "sum"), (1, "mean"), (5, "mean"), (5, "repeat"), (4, "repeat")])
def test_channels(channels: int, rule: str, tmp_path: Path) -> None:
    """On pictures whose channels are all alike, every rule gives what the original gives."""
    file = source(tmp_path)
    words = [*SAME, f"modality.channels={channels}", f"modality.mean={[0.5] * channels}", f"modality.std={[0.2] * channels}"]
    made = model(*words)
    reused = start_from(made, {"checkpoint": file, "channels": rule})
    assert f"from 3 to {channels} channels ({rule})" in reused.fitted["encoder.embed.weight"]
    grey = torch.randn(2, 1, 16, 16)
    loaded = maskedmod.load(file)
    outputs = []
    for one, count in ((loaded.model, 3), (made.eval(), channels)):
        tokens = one.modality.tokenize({"pixels": grey.expand(-1, count, -1, -1)})["main"]
        with torch.no_grad():
            outputs.append(one.encoder(Seen(tokens)).tokens)
    if rule == "repeat" and channels % 3:
        assert outputs[0].shape == outputs[1].shape
    else:
        torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)


def test_sum_is_for_one_channel(tmp_path: Path) -> None:
    words = [*SAME, "modality.channels=2", "modality.mean=[0.5,0.5]", "modality.std=[0.2,0.2]"]
    with pytest.raises(UserError, match="init.channels=sum is for 1 channel"):
        start_from(model(*words), {"checkpoint": source(tmp_path), "channels": "sum"})


def test_relative_positions(tmp_path: Path) -> None:
    rows = torch.randn(7 * 7 + 3, 2)
    made = fit.bias(rows, (4, 4), (6, 6), "bilinear")
    assert made.shape == (11 * 11 + 3, 2) and torch.equal(made[-3:], rows[-3:])
    even = fit.bias(torch.ones(52, 2), (4, 4), (6, 6), "bicubic")
    torch.testing.assert_close(even, torch.ones(124, 2))


def test_an_ema_teacher_starts_as_its_student(tmp_path: Path) -> None:
    made = model(*SAME, "teacher=ema", "target=feature")
    reused = start_from(made, source(tmp_path))
    state = made.state_dict()
    assert reused.copied and not [name for name in reused.fresh if name.startswith("teacher.")]
    assert all(torch.equal(state[name], state[name.removeprefix("teacher.")]) for name in reused.copied)


def test_words_of_the_command_line() -> None:
    assert resolve([*WORDS, "init=runs/a"])["init"] == "runs/a"
    words = ["init.resize=bicubic", "init=runs/a.pth"]
    assert resolve([*WORDS, *words])["init"] == {"checkpoint": "runs/a.pth", "resize": "bicubic"}
    for wrong, message in (
        ("init.resize=cubic", "bicubic"),
        ("init.size=3", "accepted are checkpoint"),
        ("init.channels=sums", "sum"),
    ):
        with pytest.raises(UserError, match=message):
            resolve([*WORDS, "init=runs/a", wrong])
    with pytest.raises(UserError, match="init has no checkpoint"):
        resolve([*WORDS, "init.resize=bicubic"])


def test_a_run_starts_from_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from maskedmod.train.run import train

    file = source(tmp_path)
    words = [
        "modality.size=32",
        "modality.patch_size=4",
        "train.steps=1",
        "train.batch_size=4",
        "train.val_every=0",
        "train.threads=1",
    ]
    words += [
        "train.val_batches=1",
        "train.baseline_batches=1",
        "train.tensorboard=false",
        "train.warmup_steps=0",
        "train.lr=0.0",
    ]
    out = train(resolve([*WORDS, *words, f"init={file}", "init.resize=bicubic", f"out={tmp_path / 'run'}"]))
    said = capsys.readouterr().err
    assert "encoder.positions.table resized from a lattice of (4, 4) to (8, 8)" in said
    kept = maskedmod.load(out).model.state_dict()["encoder.blocks.0.attn.qkv.weight"]
    assert torch.allclose(kept, weights_of(file, "encoder.blocks.0.attn.qkv.weight")) and math.isfinite(float(kept.sum()))
