"""What all verbs share: the main thing as a first word, ``quiet=true``, ``json=true``; runs in ``ls`` and ``show``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from maskedmod.cli import main
from maskedmod.recipe.config import resolve
from maskedmod.verbs import JSON, MAIN, VERBS
from maskedmod.verbs.completion import candidates
from maskedmod.verbs.words import spoken

SMALL = ["encoder.depth=1", "train.steps=2", "train.batch_size=4", "train.warmup_steps=0", "train.baseline_batches=1"]
SMALL += ["train.tensorboard=false", "train.val_batches=1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, its recipe named as a first word, quiet."""
    out = tmp_path_factory.mktemp("runs") / "deep" / "a"
    assert main(["train", "mae", "preset=demo", *SMALL, "head.depth=1", f"out={out}", "quiet=true"]) == 0
    return out


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


def test_every_verb_says_what_its_first_word_is() -> None:
    assert {*VERBS} - {*MAIN} == {"ls", "completion"} and {*JSON} <= {*VERBS}
    for verb, key in MAIN.items():
        assert spoken(verb, ["runs/a", "x=1"]) == [f"{key}=runs/a", "x=1"]
        assert spoken(verb, ["x=1", "runs/a"]) == ["x=1", f"{key}=runs/a"]
        assert spoken(verb, [f"{key}=b", "runs/a"]) == [f"{key}=b", "runs/a"], "not taken for something else"
    assert spoken("ls", ["mask"]) == ["mask"]


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["eval", "{nowhere}", "protocol=knn"], "checkpoint"),
        (["reconstruct", "{nowhere}"], "checkpoint"),
        (["embed", "{nowhere}", "output=x.npy"], "checkpoint"),
        (["convert", "{nowhere}", "to=hf", "output={nowhere}/x"], "checkpoint"),
        (["verify", "{nowhere}"], "checkpoint"),
        (["train", "{nowhere}.yaml"], "recipe"),
        (["show", "{nowhere}.yaml"], "recipe"),
        (["cp", "{nowhere}.yaml"], "recipe"),
    ],
)
def test_first_word_and_key_are_the_same(words: list[str], key: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Both come to the same error about the same file."""
    words = [word.replace("{nowhere}", str(tmp_path / "nowhere")) for word in words]
    assert main(words) == 2
    bare = capsys.readouterr().err
    assert main([words[0], *words[2:], f"{key}={words[1]}"]) == 2
    assert capsys.readouterr().err == bare and "nowhere" in bare


def test_quiet_leaves_errors_and_results(run: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    assert main(["train", "mae", "preset=demo", *SMALL, "head.depth=1", f"out={tmp_path / 'b'}", "quiet=true"]) == 0
    assert main(["reconstruct", str(run), f"output={picture}", "quiet=true"]) == 0
    said = capfd.readouterr()
    assert said.err == "" and said.out.strip() == str(picture)
    assert main(["train", "maee", "quiet=true"]) == 2
    assert "did you mean mae?" in capfd.readouterr().err
    assert main(["train", "mae", "quiet=loud"]) == 2
    assert "quiet expects true or false, got 'loud'" in capfd.readouterr().err
    assert main(["train", "mae", "preset=demo", *SMALL, "head.depth=1", f"out={tmp_path / 'c'}"]) == 0
    assert "report" in capfd.readouterr().err


def test_results_as_json(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    judged = json.loads(
        said(capsys, "eval", str(run), "protocol=knn", "json=true", f"output={tmp_path}", "seeds=1", "samples=32")
    )
    assert judged["protocol"] == "knn" and Path(judged["file"]).is_file() and judged["baselines"]
    listed = json.loads(said(capsys, "ls", "mask", "recipes", "presets", "json=true"))
    assert {"slot": "mask", "name": "random"}.items() <= next(m for m in listed["mask"] if m["name"] == "random").items()
    assert {"mae"} <= {row["name"] for row in listed["recipes"]} and {row["recipe"] for row in listed["presets"]} >= {"mae"}
    shown = json.loads(said(capsys, "show", "mae", "preset=tiny", "json=true"))
    assert shown["recipe"]["mask"]["random"]["ratio"] == 0.75 and shown["stages"]["main"]["cost"]["flops"] > 1e9
    assert main(["train", "mae", "json=true"]) == 2
    assert "json" in capsys.readouterr().err


def test_runs_are_listed_and_shown(run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = said(capsys, "ls", "runs", str(run.parents[1]))
    flat = " ".join(text.split())
    assert f"{run} mae, preset demo; step 2 of 2; val_loss " in flat and "the mean's" in flat
    assert all(len(line) <= 80 or " " not in line.strip() for line in text.splitlines())
    (row,) = json.loads(said(capsys, "ls", "runs", str(run.parent), "json=true"))["runs"]
    last = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines() if "val_loss" in line][-1]
    assert (row["step"], row["steps"], row["val_loss"]) == (2, 2, last["val_loss"])
    shown = said(capsys, "show", str(run))
    assert resolve_text(shown, run) and "# checkpoints: step_" in shown and "# run: mae, preset demo; step 2 of 2" in shown
    assert "# parameters: " in shown and "# last validation: " in shown
    assert said(capsys, "show", f"checkpoint={run}") == shown
    monkeypatch.chdir(run.parents[2])
    assert main(["ls", "runs"]) == 2
    assert "folder runs does not exist" in capsys.readouterr().err


def resolve_text(text: str, run: Path) -> bool:
    """Whether what is shown of a run is its recipe."""
    again = run.parent / "again.yaml"
    again.write_text(text)
    return bool(resolve([f"recipe={again}"])["encoder"] == resolve([f"recipe={run}"])["encoder"])


def test_a_run_that_is_cut_is_listed(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A last line that a crash cut, no metrics, no recipe that can be read."""
    for name in ("cut", "new", "bad"):
        (tmp_path / name).mkdir()
        shutil.copy(run / "recipe.yaml", tmp_path / name)
    shutil.copy(run / "metrics.jsonl", tmp_path / "cut")
    with (tmp_path / "cut" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "loss": 0.')
    (tmp_path / "bad" / "recipe.yaml").write_text("a: [")
    flat = " ".join(said(capsys, "ls", "runs", str(tmp_path)).split())
    assert f"{tmp_path}/cut mae, preset demo; step 2 of 2" in flat and "step 0 of 2; no step yet" in flat
    assert "not valid YAML" in flat


def test_presets_of_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "ls", "presets", "recipe=mae")
    assert "mae preset=large" in text and "encoder.depth=24" in text and "beit" not in text
    assert said(capsys, "ls", "recipe=mae") == text
    assert main(["ls", "recipes", "recipe=mae"]) == 2
    assert "chooses among presets alone" in capsys.readouterr().err


def test_completion_of_values_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photo.png").touch()
    assert candidates(["eval", "runs/a", "protocol=k"]) == ["protocol=knn"]
    assert candidates(["convert", "runs/a", "to=fair"]) == ["to=fair", "to=fair-esm"]
    for words in (["train", "mae", "data.path=ph"], ["embed", "runs/a", "input=ph"], ["embed", "checkpoint=ph"], ["eval", "ph"]):
        front = words[-1].removesuffix("ph")
        assert candidates(words) == [f"{front}photo.png", f"{front}photos/"], words
    assert candidates(["train", "mae", "preset=t"]) == ["preset=tiny"]
    assert "mask_distill" in candidates(["train", "mask"]) and candidates(["train", "mae", "mask_d"]) == []
    assert candidates(["show", "mae", "js"]) == ["json="] and candidates(["train", "mae", "js"]) == []


def test_completion_knows_what_the_verbs_know() -> None:
    """Lists that completion reads without importing anything heavy are those of the code."""
    from maskedmod.api.evaluate import TRAINED_PROTOCOLS
    from maskedmod.evaluate import judge
    from maskedmod.verbs.eval import PROTOCOLS

    assert {*PROTOCOLS} == {*judge.PROTOCOLS, *TRAINED_PROTOCOLS}


def test_training_from_python(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import maskedmod
    import maskedmod.train.run
    from maskedmod.train.run import train

    assert callable(maskedmod.train) and maskedmod.train.run.train is train
    out = maskedmod.train("mae", *SMALL, "head.depth=1", preset="demo", out=tmp_path / "run", seed=3, quiet=True)
    assert capsys.readouterr().err == "" and out == tmp_path / "run"
    model = maskedmod.load(out)
    assert model.tree["seed"] == 3 and model.tree["encoder"]["transformer"]["depth"] == 1
    with pytest.raises(ValueError, match="did you mean mae"):
        maskedmod.train("mea")


def test_dir_lists_the_public_names() -> None:
    import maskedmod

    names: list[Any] = [name for name in dir(maskedmod) if not name.startswith("_")]
    assert names == ["MaskedModel", "create", "load", "train"]
    assert all(getattr(maskedmod, name) for name in names)
