"""Tables that are not quite in order: blank lines, names that occur twice, missing numbers; and lines of molecules to embed."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from maskedmod.core.modality import BadSample, Modality
from maskedmod.data.sources.csv import Csv
from maskedmod.errors import UserError
from maskedmod.features.opened import open_input
from maskedmod.recipe.build import build_modality


@pytest.fixture(scope="module")
def protein() -> Modality:
    return build_modality({"modality": {"protein": {}}})


@pytest.fixture(scope="module")
def molecule() -> Modality:
    return build_modality({"modality": {"molecule": {}}})


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_blank_line_of_one_column_is_an_empty_cell(tmp_path: Path, protein: Modality) -> None:
    path = write(tmp_path / "x.csv", "sequence\nMKT\n\nGGG\n")
    found = list(Csv(path).everything(protein))
    assert [(r.data, r.key) for r in found] == [("MKT", f"{path} row 0"), ("", f"{path} row 1"), ("GGG", f"{path} row 2")]
    with pytest.raises(BadSample):
        protein.read(found[1])


def test_blank_lines_of_several_columns_are_told_and_counted_in_the_numbers(tmp_path: Path, protein: Modality) -> None:
    path = write(tmp_path / "x.csv", "sequence,label\nMKT,1\n\nGGG,0\n\n")
    source = Csv(path, val_fraction=0.0)
    train = source.records("train", protein)
    assert [(r.data, r.label, r.key) for r in train] == [  # type: ignore[union-attr]
        ("MKT", 1, f"{path} row 0"), ("GGG", 0, f"{path} row 2"),
    ]  # fmt: skip
    assert any("2 blank lines left out, the first one is row 1" in note for note in source.notes)
    with pytest.raises(UserError, match="row 1 has 1 cells"):
        Csv(write(tmp_path / "y.csv", "sequence,label\n\nMKT\n")).everything(protein)


def test_a_column_name_that_occurs_twice(tmp_path: Path, protein: Modality) -> None:
    path = write(tmp_path / "x.csv", "sequence,label,label\nMKT,1,0\n")
    with pytest.raises(UserError, match="2 columns called 'label'"):
        Csv(path).everything(protein)
    with pytest.raises(UserError, match="2 columns called 'label'"):
        Csv(path, label_columns="numbers").everything(protein)
    unused = write(tmp_path / "y.csv", "sequence,id,id,label\nMKT,a,b,1\n")
    assert [record.label for record in Csv(unused).everything(protein)] == [1]


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (("1", "NA", "0", "nan", "null", ""), [1, None, 0, None, None, None]),
        (("1.5", "NaN", "-2"), [1.5, None, -2.0]),
        (("red", "none", ""), ["red", "none", None]),
        (("none", "none"), ["none", "none"]),
        (("", ""), [None, None]),
    ],
)
def test_missing_numbers(cells: tuple[str, ...], labels: list[object], tmp_path: Path, protein: Modality) -> None:
    path = write(tmp_path / "x.csv", "sequence,label\n" + "".join(f"MKT,{cell}\n" for cell in cells))
    found = [record.label for record in Csv(path).everything(protein)]
    assert found == labels and [type(x) for x in found] == [type(x) for x in labels]


def texts(path: str, modality: Modality) -> list[str]:
    records, _ = open_input(path, (), {}, modality)
    assert isinstance(records, Sequence)
    return [record.data for record in records]


def test_lines_to_embed(tmp_path: Path, protein: Modality, molecule: Modality) -> None:
    for name in ("a.smi", "a.SMILES", "a.txt"):
        path = write(tmp_path / name, "CCO ethanol\nc1ccccc1\n")
        assert texts(path, molecule) == ["CCO", "c1ccccc1"], name
    packed = tmp_path / "b.smi.gz"
    packed.write_bytes(gzip.compress(b"CCO\nCCN\n"))
    assert texts(str(packed), molecule) == ["CCO", "CCN"]
    plain = write(tmp_path / "p.txt", "MKT\nGGG\n")
    assert texts(plain, protein) == ["MKT", "GGG"]
