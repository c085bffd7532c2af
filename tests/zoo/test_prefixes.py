"""Checkpoints as trainers save them: prefixes in front of and inside keys, and everything that stands beside the weights."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import maskedmod
from maskedmod.cli import main
from maskedmod.errors import UserError


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """A small MAE under the names of its authors."""
    small = ["encoder.depth=1", "encoder.width=192", "encoder.heads=3", "head.depth=1", "head.width=192", "head.heads=3"]
    model = maskedmod.create("mae", "modality.size=[16,16]", "modality.patch_size=4", *small, preset="tiny")
    model.report.untrained.clear()  # as if it were trained
    path = tmp_path_factory.mktemp("mae") / "mae"
    return dict(model.export("fair_mae", path))


def plain(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix("model."): x for key, x in weights.items()}


def same(path: Path, weights: dict[str, Tensor], **how: Any) -> Any:
    loaded = maskedmod.load(path, **how)
    assert loaded.layout == "fair_mae" and not loaded.report.missing and not loaded.report.unexpected
    back = plain(loaded.export("fair_mae"))
    assert all(torch.equal(back[key], x) for key, x in plain(weights).items())
    return loaded.report


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "model.", "backbone.", "net.", "encoder.", "student.", "mae.", "module.module.", "model._orig_mod.",
     "_orig_mod.module.", "_fsdp_wrapped_module.", "model.backbone.net.", "module._orig_mod.model."],
)  # fmt: skip
@pytest.mark.parametrize("shell", ["flat", "state_dict", "model"])
def test_prefixes(prefix: str, shell: str, weights: dict[str, Tensor], tmp_path: Path) -> None:
    inner = {prefix + key: x for key, x in plain(weights).items()}
    torch.save(inner if shell == "flat" else {shell: inner, "epoch": 3}, tmp_path / "checkpoint.pth")
    report = same(tmp_path / "checkpoint.pth", weights)
    told = set(filter(None, report.prefix.split(".")))
    assert told == set(filter(None, prefix.split("."))), "the report says what was taken off"
    assert "taken off" in str(report).splitlines()[0]


def test_wrappers_inside_keys(weights: dict[str, Tensor], tmp_path: Path) -> None:
    """torch.compile of a part, FSDP and recomputation of blocks."""
    inner = {}
    for key, x in plain(weights).items():
        key = key.replace("blocks.0.", "blocks.0._checkpoint_wrapped_module.").replace("patch_embed.", "patch_embed._orig_mod.")
        inner[key] = x
    torch.save(inner, tmp_path / "checkpoint.pth")
    report = same(tmp_path / "checkpoint.pth", weights)
    assert report.prefix == "_checkpoint_wrapped_module._orig_mod." or report.prefix == "_orig_mod._checkpoint_wrapped_module."


def test_other_parts_of_a_trainer(weights: dict[str, Tensor], tmp_path: Path) -> None:
    """What has not the prefix is not needed, and said; two parts that both fit have to be told apart by ``prefix=``."""
    inner = {f"model.{key}": x for key, x in plain(weights).items()}
    torch.save(
        {"state_dict": {**inner, "criterion.weight": torch.ones(3), "val_acc.total": torch.tensor(3)}}, tmp_path / "a.ckpt"
    )
    report = same(tmp_path / "a.ckpt", weights)
    assert {"criterion.weight", "val_acc.total"} <= set(report.unneeded)
    both = {f"{who}.{key}": x for who in ("student", "teacher") for key, x in plain(weights).items()}
    torch.save(both, tmp_path / "b.ckpt")
    with pytest.raises(UserError, match=r"student\. and teacher\..*prefix=student\."):
        maskedmod.load(tmp_path / "b.ckpt")
    same(tmp_path / "b.ckpt", weights, prefix="teacher.")
    with pytest.raises(UserError, match="no key begins with prefix=nobody"):
        maskedmod.load(tmp_path / "b.ckpt", prefix="nobody.")
    assert main(["convert", str(tmp_path / "b.ckpt"), "prefix=teacher.", "to=hf", f"output={tmp_path / 'hf'}"]) == 0


EXTRAS: dict[str, Any] = {
    "best_acc1": torch.tensor(71.3), "rng_state": torch.get_rng_state(), "epoch": 7, "arch": "vit", "loss": float("inf"),
    "cuda_rng_state": [torch.get_rng_state()], "numpy": np.random.RandomState(0).get_state(), "python": random.getstate(),
    "metrics": {"top1": torch.tensor(1.0), "confusion": torch.ones(3, 3)}, "lr_scheduler": {"last_epoch": 3, "base":
    torch.ones(2)}, "scheduler": {"_step_count": 5}, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups":
    [{"lr": 0.1}]}, "history": [torch.ones(2)], "scaler": {"scale": torch.tensor(2.0)}, "big": torch.ones(1000), "none": None,
}  # fmt: skip


@pytest.mark.parametrize("name", EXTRAS)
@pytest.mark.parametrize("shell", ["model", "state_dict"])
def test_what_stands_beside_the_weights(name: str, shell: str, weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({name: EXTRAS[name], shell: plain(weights)}, tmp_path / "checkpoint.pth")
    report = same(tmp_path / "checkpoint.pth", weights)
    assert any(key == name or key.startswith(f"{name}.") for key in report.unneeded)


@pytest.mark.parametrize("name", ["best_acc1", "rng_state", "epoch", "metrics"])
def test_what_stands_among_the_weights(name: str, weights: dict[str, Tensor], tmp_path: Path) -> None:
    """Of a flat file: numbers, random states, dicts; a tensor that may be a weight is refused still."""
    torch.save({**plain(weights), name: EXTRAS[name]}, tmp_path / "checkpoint.pth")
    same(tmp_path / "checkpoint.pth", weights)
    torch.save({**plain(weights), "extra_token": torch.ones(1, 1, 24)}, tmp_path / "checkpoint.pth")
    with pytest.raises(UserError, match="unexpected keys: extra_token"):
        maskedmod.load(tmp_path / "checkpoint.pth")


def test_numbers_in_the_dict_of_the_weights(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"model": {**plain(weights), "version": 3, "name": "mae"}}, tmp_path / "checkpoint.pth")
    assert {"model.version", "model.name"} <= set(same(tmp_path / "checkpoint.pth", weights).unneeded)
    torch.save({"model": {"state_dict": plain(weights), "step": 3}}, tmp_path / "nested.pth")
    same(tmp_path / "nested.pth", weights)
