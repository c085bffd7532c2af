"""Checkpoints: atomic, kept in number, checked, and intact when the disk is full."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from maskedmod.errors import UserError
from maskedmod.zoo import step_folder
from tests.train import toy


def save(folder: Path, step: int, keep: int = 2) -> Path:
    model = {"w": torch.full((100,), float(step)), "tied": torch.ones(3)}
    model["also_tied"] = model["tied"]
    return step_folder.save(folder, model, {"optimizers": {"main": {"lr": 0.1}}}, {"step": step, "world": 1}, keep)


def test_round_trip(tmp_path: Path) -> None:
    model, state, meta = step_folder.load(save(tmp_path, 7))
    assert torch.equal(model["w"], torch.full((100,), 7.0)) and torch.equal(model["also_tied"], torch.ones(3))
    assert state == {"optimizers": {"main": {"lr": 0.1}}} and meta["step"] == 7 and meta["schema"] == step_folder.SCHEMA


def test_keeps_the_newest(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        save(tmp_path, step, keep=2)
    assert [path.name for path in step_folder.complete(tmp_path)] == ["step_00000003", "step_00000004"]


def test_an_unfinished_one_does_not_count(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (tmp_path / ".writing_step_00000002").mkdir()
    found, messages = step_folder.newest(tmp_path)
    assert found is not None and found.name == "step_00000001" and messages == []
    save(tmp_path, 3)
    assert not list(tmp_path.glob(".writing_*"))


@pytest.mark.parametrize("file", ["model.safetensors", "state.pt", "meta.json"])
def test_cut_in_half(tmp_path: Path, file: str) -> None:
    save(tmp_path, 1)
    broken = save(tmp_path, 2) / file
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    with pytest.raises(UserError, match=file):
        step_folder.load(broken.parent)
    found, messages = step_folder.newest(tmp_path)
    assert found is not None and found.name == "step_00000001"
    assert len(messages) == 1 and str(broken) in messages[0]
    assert [path.name for path in step_folder.complete(tmp_path)] == ["step_00000001"]


def test_altered_byte_and_missing_file(tmp_path: Path) -> None:
    file = save(tmp_path, 1) / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(UserError, match="checksum"):
        step_folder.newest(tmp_path)
    file.unlink()
    with pytest.raises(UserError, match="is missing"):
        step_folder.load(file.parent)


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    file = save(tmp_path, 1) / "meta.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema": 99}))
    with pytest.raises(UserError, match="schema version 99"):
        step_folder.load(file.parent)


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match="the disk is full; the checkpoint step_00000001 is intact"):
            save(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000001"]
    assert step_folder.load(tmp_path / "step_00000001")[2]["step"] == 1


def test_run_goes_on_from_the_one_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy.trainer(tmp_path / "whole", checkpoint_every=4).fit()
    toy.trainer(tmp_path / "run", checkpoint_every=4).fit()
    newest = step_folder.complete(tmp_path / "run" / "checkpoints")[-1] / "model.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    toy.trainer(tmp_path / "run", checkpoint_every=4).fit()
    said = capsys.readouterr().err
    assert f"{newest} is damaged: 1000 bytes" in said and "going on from step 8" in said
    assert toy.losses(tmp_path / "run") == toy.losses(tmp_path / "whole")


def test_another_model_is_refused(tmp_path: Path) -> None:
    toy.trainer(tmp_path).fit()
    with pytest.raises(UserError, match=r"tensors are missing|are not in the model"):
        toy.trainer(tmp_path, toy.model("jepa")).fit()
    wider: Any = toy.model()
    wider.objectives["main"].head.pred = nn.Linear(toy.WIDTH, toy.P + 1)
    with pytest.raises(UserError, match="does not fit the model"):
        toy.trainer(tmp_path, wider).fit()
