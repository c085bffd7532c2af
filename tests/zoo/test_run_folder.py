"""A run folder gives back its model, and says in one line what is wrong with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from maskedmod.cli import main
from maskedmod.errors import UserError
from maskedmod.reconstruct.run import reconstruct_run
from maskedmod.zoo.run_folder import load_run

SMALL = ["encoder.depth=1", "encoder.width=24", "encoder.heads=2", "head.depth=1", "head.width=16", "head.heads=2"]
TRAIN = ["train.steps=4", "train.batch_size=8", "train.warmup_steps=0", "train.checkpoint_every=2", "train.val_batches=1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "a"
    words = ["recipe=mae", "preset=demo", "data.samples=16", f"out={run}", "train.baseline_batches=1", *SMALL, *TRAIN]
    assert main(["train", *words]) == 0
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def test_newest_checkpoint_and_one_by_name(run: Path) -> None:
    model, tree = load_run(run)
    assert not model.training and tree["encoder"]["transformer"]["width"] == 24
    assert model.modality.statistics == json.loads((run / "statistics.json").read_text())
    same, _ = load_run(run / "checkpoints" / "step_00000004")
    older, _ = load_run(run / "checkpoints" / "step_00000002" / "model.safetensors")
    weights = [one.encoder.state_dict()["embed.weight"] for one in (model, same, older)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_training_left_pictures_and_a_report(run: Path) -> None:
    assert (run / "report.html").stat().st_size > 10_000 and list((run / "pictures").glob("*.png"))


def test_half_a_checkpoint(run: Path) -> None:
    file = run / "checkpoints" / "step_00000004" / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UserError, match=r"model\.safetensors is damaged: \d+ bytes, \d+ were written$"):
        load_run(run)


def test_tensors_that_do_not_fit_the_recipe(run: Path) -> None:
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("depth: 1", "depth: 2", 1))
    with pytest.raises(UserError, match="does not fit its recipe: tensors .* missing"):
        load_run(run)


def test_folders_that_are_no_run(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no run folder: it has no recipe\.yaml"):
        load_run(tmp_path)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UserError, match="has no checkpoint"):
        load_run(run)


def test_pictures_of_files(run: Path, tmp_path: Path) -> None:
    from PIL import Image

    photo = tmp_path / "photo.png"
    Image.new("RGB", (90, 60), (10, 200, 90)).save(photo)
    (written,) = reconstruct_run(run, photo, tmp_path / "out", mask=["mask.ratio=0.5"], samples=1)
    assert written == tmp_path / "out" / "reconstruction_photo_seed0.png" and written.is_file()
    with pytest.raises(UserError, match="does not exist"):
        reconstruct_run(run, tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no file that ends in"):
        reconstruct_run(run, tmp_path / "empty")
    photo.write_bytes(photo.read_bytes()[:40])
    with pytest.raises(UserError, match=r"no sample could be read: photo\.png"):
        reconstruct_run(run, photo)
    with pytest.raises(UserError, match="only the mask can be changed"):
        reconstruct_run(run, mask=["encoder.depth=3"])
