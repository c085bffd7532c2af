"""Run folders: one writer, nothing left of a command that came to nothing, longer runs that go on."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from maskedmod.cli import main
from maskedmod.errors import UserError
from maskedmod.train.claim import claimed, new_folder
from tests.train.toy import lines

WORDS = [
    "train", "recipe=mae", "preset=demo", "modality.size=32", "encoder.depth=1", "encoder.width=24", "encoder.heads=2",
    "head.depth=1", "head.width=16", "head.heads=2", "train.batch_size=8", "train.val_batches=1", "train.baseline_batches=1",
    "train.warmup_steps=0", "train.tensorboard=false", "train.pictures_every=0", "train.threads=1", "data.samples=16",
]  # fmt: skip


def test_commands_at_the_same_moment_get_folders_of_their_own(tmp_path: Path) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(new_folder("mae", tmp_path / "runs"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in found) == sorted(["mae", *(f"mae-{n}" for n in range(2, 9))])


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with claimed(tmp_path / "run"):
        with pytest.raises(UserError, match="is being written by another command"), claimed(tmp_path / "run"):
            raise AssertionError("two writers")
        (tmp_path / "run" / "metrics.jsonl").write_text("{}\n")
    with claimed(tmp_path / "run"):
        pass
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize("begun", [False, True])
def test_a_command_that_fails_before_its_first_step_leaves_nothing(begun: bool, tmp_path: Path) -> None:
    def fail() -> None:
        with claimed(tmp_path / "run"):
            (tmp_path / "run" / "recipe.yaml").write_text("recipe: mae\n")
            if begun:
                (tmp_path / "run" / "metrics.jsonl").write_text("{}\n")
            raise UserError("no")

    with pytest.raises(UserError, match="no"):
        fail()
    assert (tmp_path / "run").exists() == begun


def test_a_folder_that_was_there_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main([*WORDS, f"out={tmp_path}"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_wrong_data_leave_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*WORDS[:2], "preset=tiny", "data=folder", "data.path=nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err and not list(tmp_path.rglob("*"))


def test_a_finished_run_is_made_longer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = [*WORDS, f"out={tmp_path / 'run'}"]
    assert main([*run, "train.steps=2"]) == 0
    assert main([*run, "train.steps=4"]) == 0
    said = capsys.readouterr().err
    assert "train.steps was 2 and is 4: schedules (learning rate, momentum) reach to the new end" in said
    assert [line["step"] for line in lines(tmp_path / "run") if "loss" in line] == [1, 2, 3, 4]
    assert main([*run, "train.steps=3"]) == 2 and "train.steps was 4 and is 3" in capsys.readouterr().err
    assert main([*run, "train.steps=6", "mask.ratio=0.5"]) == 2 and "holds a run of another recipe" in capsys.readouterr().err
