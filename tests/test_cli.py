"""The command line, run in this process; the speed of its light verbs in one process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maskedmod.cli import VERBS, main
from maskedmod.recipe import catalog
from maskedmod.recipe import file as recipe_file
from maskedmod.recipe import head as recipe_head
from maskedmod.recipe.config import resolve
from maskedmod.train.command import default_out, in_order
from maskedmod.verbs.completion import SCRIPTS, candidates
from maskedmod.verbs.ls import PARTS, SLOTS

SMALL = [
    "encoder.depth=1",
    "head.depth=1",
    "train.steps=2",
    "train.batch_size=4",
    "train.warmup_steps=0",
    "train.baseline_batches=1",
]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line of an error; the exit code is not 0."""
    assert main(words) == 2
    caught = capsys.readouterr()
    lines = caught.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("maskedmod: error: "), caught.err
    return lines[0]


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "--help")
    assert all(verb in text for verb in VERBS)
    for verb in VERBS:
        assert said(capsys, verb, "--help").startswith(f"maskedmod {verb}")
    assert said(capsys, "--version").startswith("maskedmod ")


def test_ls_lists_everything_with_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "ls")
    for name in recipe_file.names():
        assert any(line.split()[0] == name and len(line.split()) > 3 for line in text.splitlines() if line.strip()), name
    for slot in catalog.SLOTS[1:]:
        for name in catalog.names(slot):
            assert f"{slot}={name}" in text
            assert catalog.entry(slot, name).summary, f"{slot}={name} has no docstring at the top of its file"
    assert "mask=random" not in said(capsys, "ls", "recipes")


def test_ls_groups_recipes_by_modality_and_family(capsys: pytest.CaptureFixture[str]) -> None:
    """Every recipe once, under its own modality and family; every count is that of the lines below it."""
    title, *lines, total = said(capsys, "ls", "recipes").splitlines()
    assert title == "recipes:" and total == f"{len(recipe_file.names())} recipes in {len(catalog.names('modality'))} modalities"
    counts: dict[tuple[str, ...], int] = {}
    found: list[tuple[str, str, str]] = []
    modality = family = ""
    for line in lines:
        assert len(line) <= 80, line
        text = line.strip()
        if line.startswith("       "):  # goes on from the line before
            continue
        if line.startswith("      "):
            found.append((modality, family, text.split()[0]))
            continue
        name, _, count = text.rpartition(" (")
        modality, family = (modality, name) if line.startswith("    ") else (name, "")
        counts[(modality, family) if family else (modality,)] = int(count.rstrip(")"))
    assert found == sorted(found, key=lambda row: (row[0], row[1].casefold(), row[2]))
    assert sorted(found) == sorted((head.modality, head.family, head.name) for head in recipe_head.heads())
    assert counts == {key: sum(row[: len(key)] == key for row in found) for key in counts}


def test_ls_chooses_among_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "ls", "recipes", "modality=audio")
    names = [line.split()[0] for line in text.splitlines() if line.startswith("      ") and line[6] != " "]
    assert names == ["audio_mae", "mask_spec"] and text.endswith("\n2 recipes in 1 modality\n")
    assert said(capsys, "ls", "modality=audio") == text
    full = said(capsys, "ls", "recipes", "family=proteins and molecules")
    assert said(capsys, "ls", "family=PROTEINS") == full and "esm2" in full and "mole_bert" in full and "graph_mae" not in full
    both = said(capsys, "ls", "recipes", "modality=protein", "family=proteins")
    assert "esm2" in both and "mole_bert" not in both and both.splitlines()[1].startswith("  protein (")


def test_lines_of_lists_and_help_fit_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing of a description is lost by it."""
    for words in (
        ["ls"],
        ["ls", *PARTS[:5]],
        *(["ls", slot] for slot in SLOTS),
        ["--help"],
        *([verb, "--help"] for verb in VERBS),
    ):
        long = [line for line in said(capsys, *words).splitlines() if len(line) > 80]
        assert not [line for line in long if " " in line.strip()], f"{words}: {long}"
    flat = " ".join(said(capsys, "ls", "recipes").split())
    for head in recipe_head.heads():
        assert f"{head.name} {head.system.partition('; ')[0]}" in flat
    assert "ratio=0.4" not in said(capsys, "ls", "blocks") and "ratio=" in said(capsys, "ls", "mask")


def test_files_say_what_signatures_say() -> None:
    """Names and arguments read from the source without an import are those of the classes."""
    import inspect

    for slot in catalog.SLOTS:
        for modality in catalog.names("modality") if slot == "augment" else [None]:
            for name in catalog.names(slot, modality):
                cls = catalog.load(slot, name, modality)
                read = [argument.name for argument in catalog.entry(slot, name, modality).arguments]
                assert read == list(inspect.signature(cls).parameters), f"{slot}={name}"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["trian"], "did you mean train?"),
        (["train"], "name a recipe"),
        (["train", "recipe=audio_mea"], "did you mean audio_mae?"),
        (["train", "--recipe=audio_mae"], "did you mean recipe?"),
        (["train", "recipe=audio_mae", "preset=tiny"], "data=folder data.path=DIR"),
        (["train", "recipe=audio_mae", "preset=tiny", "data=folder", "data.path=nowhere", "out={tmp}/a"], "nowhere"),
        (["ls", "recipe"], "did you mean recipes?"),
        (["ls", "recipes", "modality=adio"], "unknown modality 'adio' among the recipes: accepted are audio, graph, image"),
        (["ls", "recipes", "modality="], "unknown modality ''"),
        (["ls", "recipes", "family=discret targts"], "did you mean discrete targets?"),
        (["ls", "recipes", "family="], "unknown family ''"),
        (["ls", "recipes", "modality=audio", "family=discrete"], "of modality audio: accepted are audio and speech"),
        (["ls", "recipes", "modalty=audio"], "did you mean modality?"),
        (["ls", "blocks", "modality=audio"], "maskedmod ls recipes modality=audio"),
        (["ls", "family=discrete", "recipes", "checkpoints"], "family= chooses among recipes alone"),
        (["cp"], "name a recipe"),
        (["cp", "recipe=audio_mae", "output={tmp}/x.txt"], "must end in .yaml"),
        (["completion", "bush"], "did you mean bash?"),
        (["reconstruct"], "checkpoint=RUN"),
        (["reconstruct", "checkpoint={tmp}/none"], "none"),
        (["reconstruct", "checkpoint=a", "samples=many"], "samples expects an integer"),
        (["reconstruct", "checkpint=a"], "did you mean checkpoint?"),
    ],
)
def test_errors_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], part: str) -> None:
    assert part in refused(capsys, *[word.replace("{tmp}", str(tmp_path)) for word in words])


def test_show_prints_a_recipe_that_can_be_read_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = said(capsys, "show", "recipe=audio_mae", "preset=demo", *SMALL)
    assert "# parameters: " in text and "FLOP for 4 samples" in text and "# memory: about " in text
    (tmp_path / "again.yaml").write_text(text)
    again = resolve([f"recipe={tmp_path / 'again.yaml'}"])
    assert again["train"]["steps"] == 2 and again["encoder"]["transformer"]["depth"] == 1


def test_operations_are_those_counted_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    """One linear layer per token in the head, no block in the encoder: 2 x inputs x outputs, thrice for the backward pass."""
    from maskedmod.recipe.estimate import count_cost, meta_model

    words = [
        "recipe=audio_mae",
        "preset=demo",
        "encoder={transformer: {depth: 1, width: 64, heads: 2, classes: 0}}",
        "head=linear",
    ]
    model = meta_model(resolve([*words, "encoder.sees=mask_token"]))
    cost = count_cost(model, 1)
    n, d, p = cost.tokens, 64, model.modality.spec.values
    block = 2 * n * (4 * d * d + 8 * d * d) + 2 * 2 * n * n * d
    predicted = int(0.8 * n)
    by_hand = 3 * (block + 2 * n * p * d + 2 * predicted * d * p)
    assert cost.visible == n and cost.flops == pytest.approx(by_hand, rel=0.05)


def test_cp_copies_and_never_overwrites(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    assert str(mine) in said(capsys, "cp", "recipe=audio_mae", f"output={mine}")
    assert mine.read_text() == recipe_file.find("audio_mae").read_text()
    assert "exists already" in refused(capsys, "cp", "recipe=audio_mae", f"output={mine}")
    assert resolve([f"recipe={mine}"])["encoder"] == resolve(["recipe=audio_mae"])["encoder"]


def test_completion(capsys: pytest.CaptureFixture[str]) -> None:
    assert "train" in candidates(["t"]) and candidates([""]) == list(VERBS)
    assert candidates(["train", "recipe=audio_m"]) == ["recipe=audio_mae"]
    assert "preset=tiny" in candidates(["train", "recipe=audio_mae", "preset="])
    assert candidates(["train", "recipe=audio_mae", "mask.rat"]) == ["mask.ratio="]
    assert "mask.spec=" not in candidates(["train", "recipe=audio_mae", "mask."])
    assert candidates(["train", "recipe=audio_mae", "mask=ran"]) == ["mask=random"]
    assert "train.batch_size=" in candidates(["train", "train.b"])
    assert candidates(["ls", "rec"]) == ["recipes", "recipe="] and candidates(["completion", ""]) == list(SCRIPTS)
    assert candidates(["ls", "recipes", "m"]) == ["modalities", "mask", "modality="]
    assert candidates(["ls", "blocks", "fam"]) == []
    assert candidates(["ls", "recipes", "modality=m"]) == ["modality=molecular_graph", "modality=molecule"]
    assert candidates(["ls", "modality=audio", "family="]) == ["family=audio"]
    assert {"family=3D", "family=discrete"} < {*candidates(["ls", "recipes", "family="])}
    for shell in SCRIPTS:
        assert "__complete" in said(capsys, "completion", shell)


def test_train_uses_a_new_folder_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tree = {"recipe": "audio_mae", "preset": "demo"}
    assert default_out(tree, False) == "runs/audio_mae-demo"
    assert (tmp_path / "runs" / "audio_mae-demo").is_dir(), "taken, so that another command at this moment gets another one"
    assert default_out(tree, False) == "runs/audio_mae-demo-2"
    assert default_out(tree, True) == "runs/audio_mae-demo-2", "the newest"
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="out=DIR"):
        default_out(tree, False)


def test_stages_follow_one_another(tmp_path: Path) -> None:
    tree = resolve(["recipe=audio_mae", f"out={tmp_path}", "stages=[{name: one}, {name: two, train: {steps: 3}}]"])
    first, second = in_order(tree)
    assert first["out"].endswith("1_one") and first["init"] is None
    assert second["init"] == first["out"] and second["train"]["steps"] == 3


def test_train_with_no_data_named_is_the_demo(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["train", "audio_mae", f"out={tmp_path / 'run'}", *SMALL, "train.tensorboard=false", "train.val_batches=1"]
    assert main(words) == 0
    text = capsys.readouterr().err
    assert "preset=demo" in text and "data=folder" in text
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert any("loss" in row for row in rows)
    assert resolve([f"recipe={tmp_path / 'run' / 'recipe.yaml'}"])["train"]["steps"] == 2


def test_light_verbs_answer_within_a_second() -> None:
    """The best of three, in processes of their own, through ``python -m maskedmod``."""
    for words in (["--help"], ["ls"]):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            done = subprocess.run([sys.executable, "-m", "maskedmod", *words], capture_output=True, env=dict(os.environ))
            times.append(time.perf_counter() - start)
            assert done.returncode == 0, done.stderr
            if times[-1] < 1.0:
                break
        assert min(times) < 1.0, times
