"""Text files as other programs write them: line ends of CR alone, byte order marks, UTF-16."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from maskedmod.modalities.molecule import Molecule
from maskedmod.modalities.protein import Protein
from maskedmod.modalities.text import Text

from maskedmod.core.modality import Record, changes
from maskedmod.data.graphs.number_tables import integers
from maskedmod.data.sources.csv import Csv
from maskedmod.data.sources.fasta import Fasta
from maskedmod.data.sources.lines import Lines
from maskedmod.data.sources.smiles import Smiles
from maskedmod.data.tables.sheet import read_table
from maskedmod.data.text_lines import TextFile
from maskedmod.errors import UserError

ENDS = ["\n", "\r\n", "\r", "\r\r\n"]
MARKS = ["", "\ufeff"]


def write(path: Path, rows: list[str], end: str, mark: str, last: bool = True) -> Path:
    raw = (mark + end.join(rows) + (end if last else "")).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("end", ENDS)
def test_the_same_records_whatever_ends_a_line(end: str, mark: str, last: bool, tmp_path: Path) -> None:
    molecules = ["CCO ethanol", "c1ccccc1N", "OCC", "CCN amine"]
    for name in ("a.smi", "b.smi.gz"):
        source: Any = Smiles(str(write(tmp_path / name, molecules, end, mark, last)), val_fraction=0)
        records = list(source.everything(Molecule()))
        assert [r.data for r in records] == ["CCO", "c1ccccc1N", "OCC", "CCN"]
        assert [r.key.split(" row ")[1] for r in records] == ["1 (ethanol)", "2", "3", "4 (amine)"]
        assert Molecule().read(records[0])[1] == "CCO"
    words = Lines(str(write(tmp_path / "a.txt", ["one two", "", "three"], end, mark, last)), val_fraction=0)
    assert [(r.data, r.key[-5:]) for r in words.everything(Text())] == [("one two", "row 1"), ("three", "row 3")]
    assert "1 empty lines left out, the first one is row 2" in words.notes[0]
    for name in ("a.fasta", "b.fasta.gz"):
        proteins = Fasta(str(write(tmp_path / name, [">a one", "MKTAY", "IAKQ", "", ">b", "GSHM"], end, mark, last)))
        assert [(r.key.split()[-1], r.data) for r in proteins.everything(Protein())] == [("a", "MKTAYIAKQ"), ("b", "GSHM")]
        assert not proteins.notes
    table = Csv(str(write(tmp_path / "a.csv", ["sequence,label", "MKTAY,1", "GSHM,2"], end, mark, last)), val_fraction=0)
    if end != "\r\r\n":
        assert [(r.data, r.label) for r in table.everything(Protein())] == [("MKTAY", 1), ("GSHM", 2)]
        assert integers(write(tmp_path / "A.txt", ["1, 2", "2, 1"], end, mark, last)).tolist() == [[1, 2], [2, 1]]


def test_files_joined_of_several_systems(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_bytes(b"CCO\rCCN\rCCC\nCCS\r\nCCF\r")
    assert [bytes(line) for line in TextFile(tmp_path / "a.smi")] == [b"CCO", b"CCN", b"CCC", b"CCS", b"CCF"]
    (tmp_path / "a.fasta").write_bytes(b">a\nMK\n>b\rGS\rHM\r>c\r\nAA\r\n")
    assert [r.data for r in Fasta(str(tmp_path / "a.fasta")).everything(Protein())] == ["MK", "GSHM", "AA"]
    (tmp_path / "only.txt").write_bytes(b"\xef\xbb\xbf")
    assert len(TextFile(tmp_path / "only.txt")) == 0
    assert np.array_equal(TextFile(tmp_path / "a.smi").lengths, [3, 3, 3, 4, 3])


def test_utf_16_is_named_and_a_mark_in_memory_is_left_out(tmp_path: Path) -> None:
    for name, rows in (("a.smi", "CCO\n"), ("a.csv", "sequence\nMK\n"), ("a.fasta", ">a\nMK\n")):
        (tmp_path / name).write_text(rows, encoding="utf-16")
    with pytest.raises(UserError, match=r"a.smi is UTF-16"):
        Smiles(str(tmp_path / "a.smi")).everything(Molecule())
    with pytest.raises(UserError, match=r"a.csv is UTF-16"):
        read_table(tmp_path / "a.csv", None)
    with pytest.raises(UserError, match=r"a.fasta is UTF-16"):
        Fasta(str(tmp_path / "a.fasta")).everything(Protein())
    with changes() as heard:
        assert Molecule().read(Record("\ufeffCCO", "a"))[1] == "CCO"
    assert heard == ["the byte order mark at its start left out"]
