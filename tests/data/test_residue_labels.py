"""Labels of single residues from a second FASTA file, and an evaluation of residues by command."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from maskedmod.cli import main
from maskedmod.core.modality import Modality
from maskedmod.data.sources.fasta import Fasta
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_modality


@pytest.fixture
def protein() -> Modality:
    return build_modality({"modality": {"protein": {}}})


@pytest.fixture
def flip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two proteins, their labels in another order, and marks."""
    monkeypatch.chdir(tmp_path)
    Path("s.fasta").write_text(">a\nMKTAY\n>b\nGG\nG\n")
    Path("l.fasta").write_text(">b SET=test VALIDATION=False\nHHE\n>a SET=train VALIDATION=False\nHHH\nEC\n")
    Path("k.fasta").write_text(">a\n01110\n>b\n111\n")
    return tmp_path


def test_letters_of_the_same_name(flip: Path, protein: Modality) -> None:
    source = Fasta("s.fasta", val_pattern="*SET=test*", residues="l.fasta", known="k.fasta")
    (train,), (val,) = (source.records(part, protein) for part in ("train", "val"))
    assert (train.key, train.label) == ("s.fasta record a", [None, "H", "H", "E", None])
    assert (val.data, val.label) == ("GGG", ["H", "H", "E"])
    assert Fasta("s.fasta", residues="l.fasta").everything(protein)[0].label == list("HHHEC")


def test_files_that_do_not_fit(flip: Path, protein: Modality) -> None:
    Path("short.fasta").write_text(">a\n011\n>b\n1\n")
    Path("one.fasta").write_text(">a\nHHHEC\n")
    Path("twice.fasta").write_text(">a\nH\n>b\nH\n>a\nH\n")
    for words, said in (
        ({"residues": "gone.fasta"}, "gone.fasta does not exist"),
        ({"residues": "twice.fasta"}, "twice.fasta has several records called a"),
        ({"residues": "one.fasta"}, "s.fasta record b: one.fasta has no record of this name"),
        ({"residues": "l.fasta", "known": "short.fasta"}, "s.fasta record a: 5 labels in l.fasta, 3 marks in short.fasta"),
        ({"known": "k.fasta"}, "data.known belongs to data.residues"),
        ({"residues": "l.fasta", "label": "(a)"}, "two kinds of labels"),
    ):
        with pytest.raises(UserError, match=said):
            list(Fasta("s.fasta", **words).everything(protein))


def test_residues_are_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels that follow from the residue alone are found from its own value."""
    monkeypatch.chdir(tmp_path)
    draw = random.Random(0)
    texts = {f"p{i}": "".join(draw.choices("LAGVSE", k=12)) for i in range(24)}
    Path("s.fasta").write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    marks = {name: "".join("H" if letter in "LA" else "C" for letter in text) for name, text in texts.items()}
    lines = [f">{name} SET={'test' if i < 8 else 'train'}\n{marks[name]}\n" for i, name in enumerate(texts)]
    Path("l.fasta").write_text("".join(lines))
    small = [
        "encoder.depth=1",
        "encoder.width=16",
        "encoder.heads=2",
        "train.steps=1",
        "train.warmup_steps=0",
        "train.val_every=0",
    ]
    data = ["data=fasta", "data.path=s.fasta", "data.residues=l.fasta", "data.val_pattern=*SET=test*"]
    assert main(["train", "recipe=esm2", "preset=demo", *small, "train.tensorboard=false", "out=run", *data]) == 0
    words = ["eval", "checkpoint=run", "protocol=linear", "level=token", "seeds=1", "output=e.json", *data]
    assert main([*words, "modality.max_length=5"]) == 0
    found = json.loads(Path("e.json").read_text())
    assert found["split"]["train"] == 16 * 12 and found["split"]["test"] == 8 * 12
    assert found["baselines"]["raw features"]["mean"] == 1.0
    Path("l.fasta").write_text("".join(lines).replace(marks["p9"], marks["p9"][1:]))
    capsys.readouterr()
    assert main(words) == 2 and "s.fasta record p9: 11 labels for 12 tokens" in capsys.readouterr().err
