"""Sources of lines: SMILES files and text files, plain and gzip."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import pytest
from maskedmod.modalities.molecule import Molecule

from maskedmod.data.sources.csv import Csv
from maskedmod.data.sources.lines import Lines
from maskedmod.data.sources.smiles import Smiles
from maskedmod.data.text_lines import TextFile
from maskedmod.errors import UserError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.smi"
    path.write_bytes(b"CCO ethanol\r\n\nC1CC broken\nCC(=O)O\tacetic acid\n   \n\xff\xfe\nCCN 0.5")
    return path


def test_lines_of_a_file(file: Path) -> None:
    lines = TextFile(file)
    assert [lines[i] for i in range(len(lines))] == [
        b"CCO ethanol", b"", b"C1CC broken", b"CC(=O)O\tacetic acid", b"   ", b"\xff\xfe", b"CCN 0.5",
    ]  # fmt: skip
    assert lines.blank.tolist() == [1, 4]
    packed = file.with_suffix(".gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    again = pickle.loads(pickle.dumps(TextFile(packed)))
    assert [again[i] for i in range(len(again))] == [lines[i] for i in range(len(lines))]
    packed.write_bytes(gzip.compress(file.read_bytes())[:-9])
    with pytest.raises(UserError, match="cannot be read"):
        len(TextFile(packed))


def test_smiles_file(file: Path) -> None:
    source = Smiles(str(file), val_fraction=0.0)
    records = source.records("train", Molecule())
    assert [record.key for record in records] == [
        f"{file} row 1 (ethanol)", f"{file} row 3 (broken)", f"{file} row 4 (acetic acid)", f"{file} row 6",
        f"{file} row 7 (0.5)",
    ]  # fmt: skip
    assert [record.data for record in records] == ["CCO", "C1CC", "CC(=O)O", b"\xff\xfe", "CCN"]
    assert source.notes[0] == f"{file}: 2 empty lines left out, the first one is row 2"
    assert (records.lengths >= [len(record.data) for record in records]).all()
    labelled = Smiles(str(file), val_fraction=0.0, rest="label").records("train", Molecule())
    assert [record.label for record in labelled] == ["ethanol", "broken", "acetic acid", None, 0.5]


def test_split_and_folder(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text("".join(f"line {i} of {name}\n" for i in range(50)))
    source = Lines(str(tmp_path), val_fraction=0.2)
    train, val = (source.records(part, Molecule()) for part in ("train", "val"))
    assert len(train) + len(val) == 100 and 8 < len(val) < 35
    assert train[0].key.startswith(str(tmp_path / "a.txt")) and not {r.key for r in train} & {r.key for r in val}
    assert [r.data for r in Lines(str(tmp_path)).everything(Molecule())][50:52] == ["line 0 of b.txt", "line 1 of b.txt"]


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        Smiles(str(tmp_path / "none.smi")).records("train", Molecule())
    with pytest.raises(UserError, match=r"no file ending in \.smi"):
        Smiles(str(tmp_path)).records("train", Molecule())
    (tmp_path / "x.smi").write_text("\n \n")
    with pytest.raises(UserError, match="no line with anything"):
        Smiles(str(tmp_path)).records("train", Molecule())


def test_several_labels_a_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("smiles,a,b,id\nCCO,1,,x1\nCCN,0,1,x2\n")
    every = Csv(str(path), label_columns="numbers").everything(Molecule())
    assert [record.label for record in every] == [[1, None], [0, 1]]
    assert [r.label for r in Csv(str(path), label_columns=("b",)).everything(Molecule())] == [[None], [1]]
    with pytest.raises(UserError, match="column id of data.label_columns holds 'x1'"):
        Csv(str(path), label_columns=("a", "id")).everything(Molecule())
    with pytest.raises(UserError, match="c"):
        Csv(str(path), label_columns=("c",)).everything(Molecule())
