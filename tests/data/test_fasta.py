"""FASTA and CSV files: every way of writing them, every way of spoiling them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from maskedmod.core.modality import BadSample, Modality, changes
from maskedmod.data.sources.csv import Csv
from maskedmod.data.sources.fasta import Fasta
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_modality
from tests.conftest import shared


@pytest.fixture
def protein() -> Modality:
    return build_modality({"modality": {"protein": {}}})


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


PLAIN = ">a first one\nMKTAY\nIAK\n\n>b class=x\nLLL\n>c\nGG\nG"


@pytest.mark.parametrize("form", ["plain", "windows", "gzip", "bom", "no_last_line_end"])
def test_forms_of_one_file(form: str, tmp_path: Path, protein: Modality) -> None:
    raw = PLAIN.encode() + (b"" if form == "no_last_line_end" else b"\n")
    raw = {"windows": raw.replace(b"\n", b"\r\n"), "gzip": gzip.compress(raw), "bom": b"\xef\xbb\xbf" + raw}.get(form, raw)
    path = write(tmp_path / f"x.fasta{'.gz' if form == 'gzip' else ''}", raw)
    records = Fasta(path).everything(protein)
    assert [r.data for r in records] == ["MKTAYIAK", "LLL", "GGG"]
    assert [r.key for r in records] == [f"{path} record {name}" for name in "abc"]
    assert records.lengths.tolist() == [8, 3, 3]  # type: ignore[attr-defined]


def test_labels_and_splits(tmp_path: Path, protein: Modality) -> None:
    text = "".join(f">p{i} fold={'ab'[i % 2]}.{i} SET={'test' if i < 4 else 'train'}\nMKT{'A' * i}\n" for i in range(20))
    path = write(tmp_path / "x.fasta", text)
    source = Fasta(path, val_pattern="*SET=test*", label=r"fold=(\w)\.")
    train, val = source.records("train", protein), source.records("val", protein)
    assert len(train) == 16 and [r.label for r in val] == ["a", "b", "a", "b"]  # type: ignore[arg-type, union-attr]
    names = {r.key for r in Fasta(path, val_fraction=0.3).records("val", protein)}  # type: ignore[union-attr]
    assert 0 < len(names) < 20 and names == {r.key for r in Fasta(path, val_fraction=0.3).records("val", protein)}  # type: ignore[union-attr]
    (tmp_path / "two").mkdir()
    for name in ("train", "test"):
        write(tmp_path / "two" / f"{name}.fa", f">{name}\nMK\n")
    both = Fasta(str(tmp_path / "two"))
    assert [both.records(split, protein)[0].key.split()[-1] for split in ("train", "val")] == ["train", "test"]  # type: ignore[index, arg-type]
    with pytest.raises(UserError, match="no header matches"):
        Fasta(path, val_pattern="*nothing*").records("train", protein)
    with pytest.raises(UserError, match="group in brackets"):
        Fasta(path, label="fold")


def test_what_is_unusual_is_counted_and_nothing_is_dropped(tmp_path: Path, protein: Modality) -> None:
    body = b">a\nMK\n>a\nmkt\n>empty\n>digits\nMK1T\n>stop\nMK*\n>gap\nM-K.\n>\xff\nMK\n>long\n" + b"A" * 100_000 + b"\n"
    source = Fasta(write(tmp_path / "x.fasta", body))
    records = source.everything(protein)
    assert [r.key.split("record ")[1] for r in records] == ["a", "a (2)", "empty", "digits", "stop", "gap", "ÿ", "long"]
    said = " ".join(source.notes)
    for part in (
        "1 with lower case",
        "1 with no sequence",
        "1 with digits",
        "1 with stops",
        "1 with gaps",
        "not UTF-8",
        "a name that",
    ):
        assert part in said, said
    read: list[Any] = []
    for record in records:
        try:
            with changes() as heard:
                read.append((len(protein.read(record)) - 2, heard))
        except BadSample as error:
            read.append(str(error))
    assert read[2:4] == ["the sequence is empty", "'1' at place 3 is a digit, and no amino acid"]
    assert read[1] == (3, ["lower case read as upper case: 3"]) and read[4] == (2, ["stop (*) at the end dropped: 1"])
    assert read[5] == (2, ["gaps dropped: 2"]) and read[7] == (100_000, [])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"MKT\n>a\nMK\n", "line 1 is b'MKT'"),
        (">a\nMK\n".encode("utf-16"), "UTF-16"),
        (gzip.compress(b">a\nMKT\n" * 500, mtime=0)[:40], "cannot be read"),
    ],
)
def test_no_fasta(content: bytes, said: str, tmp_path: Path, protein: Modality) -> None:
    with pytest.raises(UserError, match=said):
        Fasta(write(tmp_path / "x.fasta", content)).everything(protein)
    with pytest.raises(UserError, match="does not exist"):
        Fasta(str(tmp_path / "y.fasta")).everything(protein)


def test_the_published_counts(protein: Modality) -> None:
    records = Fasta(str(shared("data/proteins/uniref90_sample"))).everything(protein)
    lengths = records.lengths  # type: ignore[attr-defined]
    assert (len(records), lengths.min(), lengths.max()) == (8000, 12, 8001)
    assert len(records[4321].data) == lengths[4321]


def test_csv(tmp_path: Path, protein: Modality) -> None:
    rows = "id,sequence,target,set\n1,MKT,0.5,train\n2,LLL,,test\n3,GGG,2,train\n"
    path = write(tmp_path / "x.csv", rows)
    source = Csv(path, split_column="set")
    train, val = source.records("train", protein), source.records("val", protein)
    assert [(r.data, r.label, r.key) for r in train] == [  # type: ignore[union-attr]
        ("MKT", 0.5, f"{path} row 0"), ("GGG", 2.0, f"{path} row 2"),
    ]  # fmt: skip
    assert val[0].label is None and train.lengths.tolist() == [3, 3]  # type: ignore[index, union-attr]
    tabs = write(tmp_path / "x.tsv.gz", gzip.compress(rows.replace(",", "\t").encode()))
    assert [r.data for r in Csv(tabs, column="id").everything(protein)] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        ("a,b\nMKT,1\n", {}, "no column called sequence"),
        ("a,b\nMKT,1\n", {"column": "seq"}, "column"),
        ("sequence,b\nMKT\n", {}, "row 0 has 1 cells"),
        (b"sequence,b\nMK\xe9,1\n", {}, "not UTF-8"),
        ("", {}, "is empty"),
        ("sequence,set\nMKT,one\n", {"split_column": "set"}, "expected train and one of"),
    ],
)
def test_no_such_table(content: str | bytes, words: dict[str, str], said: str, tmp_path: Path, protein: Modality) -> None:
    with pytest.raises(UserError, match=said):
        Csv(write(tmp_path / "x.csv", content), **words).records("train", protein)


def test_text_columns_of_parquet_and_hf(tmp_path: Path, protein: Modality) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    from maskedmod.data.sources.hf import Hf
    from maskedmod.data.sources.parquet import Parquet

    texts = [f"MKT{'A' * i}" for i in range(30)]
    parquet.write_table(arrow.table({"sequence": texts, "label": list(range(30))}), tmp_path / "x.parquet", row_group_size=7)
    source = Parquet(str(tmp_path / "x.parquet"), val_fraction=0.2)
    for records in (source.everything(protein), source.records("val", protein)):
        assert all(r.data == f"MKT{'A' * r.label}" for r in records)  # type: ignore[union-attr]
        assert records.lengths.tolist() == [len(r.data) for r in records]  # type: ignore[union-attr]
    pytest.importorskip("datasets")
    found = Hf("parquet", data_files=str(tmp_path / "x.parquet"), val_fraction=0.2).records("train", protein)
    assert [len(r.data) for r in found] == found.lengths.tolist() and found[0].data in texts  # type: ignore[union-attr, index]
