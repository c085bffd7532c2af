"""Labels, devices and folders that must be refused or kept: what an evaluation makes of unusual input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskedmod.errors import UserError
from maskedmod.evaluate.features import Features
from maskedmod.evaluate.labels import Labels, encode, minus_one_is_missing
from maskedmod.evaluate.settings import Settings
from maskedmod.evaluate.splits import Trial
from maskedmod.evaluate.table import _labelled
from maskedmod.evaluate.trials import few, several
from maskedmod.finetune.options import options
from maskedmod.finetune.trial import Work, finetune
from tests.evaluate.toy import Flat, encoder, records, samples

NAN = float("nan")


@pytest.mark.parametrize(
    ("raw", "numbers", "marks"),
    [
        ([0, 1, -1], False, True),
        (["low", "high", None, -1], False, True),
        ([np.int64(3), 4, np.int64(-1)], False, True),
        ([[0, 1], [1, 0], -1], False, True),
        ([1, -1, 1, None], False, False),
        ([-2, -1, 0, 1], False, False),
        ([0, 1, -1], True, False),
        ([0.5, 1.0, -1], False, False),
        ([-1, -1], False, False),
        ([0, 1, NAN], False, False),
    ],
)
def test_minus_one_is_a_label_unless_two_classes_remain(raw: list[Any], numbers: bool, marks: bool) -> None:
    assert minus_one_is_missing(raw, numbers) is marks


@pytest.mark.parametrize(("marks", "kept", "said"), [(True, [0, 1], 2), (False, [0, 1, -1], 1)])
def test_what_is_left_out_is_noted_with_its_value(marks: bool, kept: list[int], said: int) -> None:
    keys = list("abcd")
    found = Features({"x": torch.zeros(4, 1)}, [0, 1, -1, None], keys, keys, 0, [0, 1, 2, 3])
    notes: list[str] = []
    assert _labelled(found, "val", notes, marks).labels == kept
    assert len(notes) == said and "val: 1 samples without a label are left out" in notes
    assert any("label -1, taken for no label" in note for note in notes) is marks


def test_an_infinite_label_is_named() -> None:
    with pytest.raises(UserError, match="b: label inf is infinite"):
        encode([1.0, float("inf")], True, ["a", "b"])
    with pytest.raises(UserError, match="b: label .* is infinite"):
        encode([[0, 1], [1, -float("inf")]], False, ["a", "b"])


@pytest.mark.parametrize("device", ["foo", "meta", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_in_one_line(device: str) -> None:
    with pytest.raises(UserError, match=f"device '{device}' cannot be used") as error:
        Settings(device=device)
    assert "\n" not in str(error.value)


def test_one_class_leaves_nothing_to_tell_apart() -> None:
    labels = Labels("classes", torch.tensor([0, 0, 0, 1]), ("x", "y"))
    with pytest.raises(UserError, match="all 3 labels of the training part are 'x': nothing to tell apart"):
        several(labels, [Trial(np.arange(3), np.array([3]), 0)])
    several(labels, [Trial(np.arange(1, 4), np.array([0]), 0)])
    tokens = Labels("tokens", torch.tensor([[0, -1, -2], [0, -2, -2], [1, 0, 1]]), ("x", "y"))
    with pytest.raises(UserError, match="all 2 labels of the training part are 'x'"):
        several(tokens, [Trial(np.arange(2), np.array([2]), 0)])


def test_few_judged_samples_are_noted_over_all_folds() -> None:
    every = np.arange(30)
    assert few([Trial(every[12:], every[:12], 0)]) == ["only 12 samples are judged: one more or less right is 8.3 points"]
    assert few([Trial(np.setdiff1d(every, part), part, 0) for part in np.split(every, 3)]) == []


def work(**changes: Any) -> Work:
    given = samples(16, 1)
    labels = Labels("classes", torch.tensor([int(x.mean(0)[0] > 0) for x in given]), ("down", "up"))
    quick = {"steps": 1, "batch_size": 8, "drop_path": 0.0, "layer_decay": 1.0}
    return Work(Flat(), encoder(), records(given), labels, options("finetune", {**quick, **changes}))


def test_a_finished_network_of_other_settings_stays(tmp_path: Path) -> None:
    finetune(work(), tmp_path / "a")
    before = (tmp_path / "a" / "network.safetensors").read_bytes()
    with pytest.raises(UserError, match="holds a finished network of other settings; name another folder with output="):
        finetune(work(steps=2), tmp_path / "a")
    assert (tmp_path / "a" / "network.safetensors").read_bytes() == before


def test_what_cannot_be_mixed_is_refused_before_the_folder_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mixup and cutmix need a modality whose samples are arrays"):
        finetune(work(mixup=0.8), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_steps_and_epochs_exclude_each_other() -> None:
    with pytest.raises(UserError, match="steps=3 and epochs=2.0 both say how long to train"):
        options("finetune", {"steps": 3, "epochs": 2.0})
    assert options("finetune", {"steps": 3}).steps == 3
