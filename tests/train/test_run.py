"""One recipe tree from data to report: run folder, resume, first weights, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from maskedmod.errors import UserError
from maskedmod.recipe.config import resolve
from maskedmod.train.initial import match
from maskedmod.train.run import train
from maskedmod.zoo import step_folder
from tests.train import toy

SMALL = [
    "recipe=mae", "preset=demo", "modality.size=16", "modality.patch_size=4", "encoder.depth=1", "encoder.width=24",
    "encoder.heads=2", "head.depth=1", "head.width=24", "head.heads=2", "train.batch_size=8", "train.steps=4",
    "train.warmup_steps=1", "train.checkpoint_every=2", "train.val_batches=1", "train.baseline_batches=2",
    "train.tensorboard=false",
]  # fmt: skip


def tree(out: Path, *words: str) -> dict[str, Any]:
    return resolve([*SMALL, f"out={out}", *words])


def test_run_folder(tmp_path: Path) -> None:
    out = train(tree(tmp_path / "run"))
    files = {path.name for path in out.iterdir()}
    assert {"recipe.yaml", "environment.json", "metrics.jsonl", "statistics.json", "baseline.safetensors", "checkpoints"} <= files
    assert {"pictures", "report.html"} <= files and any((out / "pictures").glob("*.png"))
    again = resolve([f"recipe={out / 'recipe.yaml'}", f"out={out}"])
    assert again["train"] == tree(out)["train"] and again["encoder"] == tree(out)["encoder"]
    facts = json.loads((out / "environment.json").read_text())
    assert facts["torch"] == torch.__version__ and facts["parameters"] > 1000
    assert len(toy.losses(out)) == 4


@pytest.mark.parametrize("mask", [["mask.ratio=0.5"], ["mask=block", "mask.ratio=0.5", "mask.least=2", "mask.exact=true"]])
def test_validation_draws_the_same_masks_every_time(tmp_path: Path, mask: list[str]) -> None:
    out = train(tree(tmp_path / "run", *mask, "train.val_every=2"))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    means = [line["val_mean_baseline"] for line in lines if "val_mean_baseline" in line]
    assert len(means) == 2 and means[0] == means[1]


def test_goes_on_and_equals_a_whole_run(tmp_path: Path) -> None:
    whole = train(tree(tmp_path / "whole"))
    cut = train(tree(tmp_path / "cut"))
    newest = step_folder.complete(cut / "checkpoints")[-1]
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()  # as if it had been killed before its last checkpoint
    train(tree(cut, "train.log_every=1"))
    assert toy.losses(cut) == toy.losses(whole)


def test_refusals(tmp_path: Path) -> None:
    out = train(tree(tmp_path / "run"))
    with pytest.raises(UserError, match=r"train\.lr was 0\.0015 and is 0\.5.*init="):
        train(tree(out, "train.lr=0.5"))
    with pytest.raises(UserError, match="resume=auto to go on"):
        train(tree(out, "resume=never"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="holds no run"):
        train(tree(tmp_path / "mine"))
    with pytest.raises(UserError, match=r"needs torchrun"):
        train(tree(tmp_path / "other", "train.distributed=ddp"))


def test_first_weights_of_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = train(tree(tmp_path / "first"))
    second = train(tree(tmp_path / "second", f"init={first}", "train.steps=1", "train.lr=0.0", "head.width=32"))
    said = capsys.readouterr().err
    assert "tensors taken over" in said and "have another shape and stay as drawn" in said
    old, new = (step_folder.load_model(step_folder.complete(run / "checkpoints")[-1]) for run in (first, second))
    assert torch.equal(old["encoder.blocks.0.attn.qkv.weight"], new["encoder.blocks.0.attn.qkv.weight"])


def test_every_key_is_accounted_for() -> None:
    model = toy.model()
    theirs = dict(toy.model(seed=1).state_dict())
    theirs["odd"] = torch.ones(1)
    theirs["encoder.embed.bias"] = torch.ones(3)
    gone = theirs.pop("encoder.embed.weight")
    reused = match(model, theirs)
    assert (reused.reshaped, reused.fresh, reused.unused) == (["encoder.embed.bias"], ["encoder.embed.weight"], ["odd"])
    assert len(reused.taken) == len(model.state_dict()) - 2 and gone.shape == model.encoder.embed.weight.shape


def test_recipe_file_is_plain_yaml(tmp_path: Path) -> None:
    out = train(tree(tmp_path / "run", "train.steps=1"))
    assert isinstance(yaml.safe_load((out / "recipe.yaml").read_text()), dict)
