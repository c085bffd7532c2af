"""Files of scores: what was altered, blank lines, names that occur twice, an output that is the input, devices."""

from __future__ import annotations

import csv
import json
import warnings
from pathlib import Path

import pytest

import maskedmod
from maskedmod.api.loaded import Loaded
from maskedmod.cli import main
from maskedmod.errors import UserError
from maskedmod.score import scan, score
from maskedmod.score.mutants import kind_of
from maskedmod.score.table import wild_type

WILD = "MKTAYIAKQR"
SMALL = ["encoder.depth=1", "encoder.width=16", "encoder.heads=2"]


@pytest.fixture(scope="module")
def model() -> Loaded:
    return maskedmod.create("esm2", *SMALL)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Loaded) -> list[str]:
    """Words of a command on a small model, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("maskedmod.score.run.load", lambda checkpoint: model)
    Path("wild.fasta").write_text(f">toy\n{WILD}\n")
    return ["score", "checkpoint=x", "input=wild.fasta"]


def test_what_was_altered_in_the_wild_type(model: Loaded, run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = ["wild type: lower case read as upper case: 2", "wild type: stop (*) at the end dropped: 1"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = score(model, "mkTAYIAKQR*", ["K2A"])
        assert found.notes == said and scan(model, "mkTAYIAKQR*").notes == said
        Path("wild.fasta").write_text(">toy\nmkTAYIAKQR*\n")
        Path("m.csv").write_text("mutant\nK2A\n")
        assert main([*run, "mutants=m.csv", "output=o.csv"]) == 0
    assert found.values.tolist() == score(model, WILD, ["K2A"]).values.tolist()
    assert f"altered: {said[0]}" in capsys.readouterr().out
    assert json.loads(Path("o.csv.meta.json").read_text())["altered"] == said


def test_blank_lines_keep_their_places(run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.csv").write_text("id,mutant\na,K2A\n\nb,A2G\n")
    assert main([*run, "mutants=m.csv", "output=o.csv"]) == 2
    assert "m.csv row 2: A2G" in capsys.readouterr().err
    assert main([*run, "mutants=m.csv", "output=o.csv", "bad=skip"]) == 0
    assert "1 blank lines, the first one is row 1" in capsys.readouterr().out
    with Path("o.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[:2] for row in rows] == [["id", "mutant"], ["a", "K2A"], [], ["b", "A2G"]]
    assert rows[1][2] != "" and rows[3][2] == "" and json.loads(Path("o.csv.meta.json").read_text())["blank"] == 1
    assert json.loads(Path("o.csv.rejected.jsonl").read_text())["row"] == 2


def test_a_blank_line_of_one_column_is_a_row(run: list[str]) -> None:
    Path("m.csv").write_text("mutant\nK2A\n\nA4W\n")
    assert main([*run, "mutants=m.csv", "output=o.csv", "bad=skip"]) == 0
    with Path("o.csv").open(newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["mutant", "K2A", "", "A4W"]
    assert json.loads(Path("o.csv.rejected.jsonl").read_text())["row"] == 1


def test_columns_of_one_name(run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.csv").write_text("mutant,lab,lab\nK2A,1,2\n")
    assert main([*run, "mutants=m.csv", "output=o.csv"]) == 0
    assert main([*run, "mutants=m.csv", "output=o.csv", "measured=lab"]) == 2
    assert "m.csv has 2 columns called 'lab'" in capsys.readouterr().err


def test_records_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "w.fasta"
    path.write_text(">a\nMKT\n>b\nGGG\n>a x\nMKV\n")
    assert wild_type(str(path), "b") == ("b", "GGG")
    with pytest.raises(UserError, match="2 records called 'a'"):
        wild_type(str(path), "a")


def test_words_for_the_wild_type_are_no_sequences(model: Loaded) -> None:
    assert kind_of(["WT", "wt"], "x", ()) == "mutants" and kind_of(["WT", ""], "mutant", ()) == "mutants"
    assert kind_of(["WT", "MKT"], "x", ()) == "sequences" and kind_of(["WT"], "sequence", ("sequence",)) == "sequences"
    assert score(model, WILD, ["WT"]).values.tolist() == [0.0]


def test_the_output_is_another_file(run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.csv").write_text("mutant\nK2A\n")
    assert main([*run, "mutants=m.csv", "output=./m.csv"]) == 2
    assert "is what is read; name another file" in capsys.readouterr().err
    assert Path("m.csv").read_text() == "mutant\nK2A\n"


def test_no_such_device(run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*run, "output=o.csv", "device=foo"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "device 'foo' cannot be used" in line and not Path("o.csv").exists()
