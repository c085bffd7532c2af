"""SDF libraries with entries that are none, and where such a file may be named."""

from __future__ import annotations

from pathlib import Path

import pytest
from maskedmod.modalities.molecular_graph import MolecularGraph
from maskedmod.modalities.molecule import Molecule
from maskedmod.modalities.protein import Protein

from maskedmod.core.modality import BadSample, changes
from maskedmod.data.batches import read
from maskedmod.data.loader import Loader
from maskedmod.data.sources.sdf import Sdf
from maskedmod.errors import UserError
from maskedmod.features.opened import open_input
from maskedmod.reconstruct.run import first_batch

chem = pytest.importorskip("rdkit.Chem")


def entries(*smiles: str) -> list[str]:
    return [chem.MolToMolBlock(chem.MolFromSmiles(one)) for one in smiles]


GOOD = entries("CCO", "c1ccccc1N", "CC(=O)O", "CCN")
SPOILT = {
    "nothing": "",
    "blank": "\n\n",
    "no table": "name\n\n\nno counts here\nM  END\n",
    "counts too high": GOOD[0].replace("  3  2", " 99 99"),
    "word for a number": GOOD[0].replace("1  2  1", "1  x  1"),
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("what", list(SPOILT))
def test_an_entry_that_is_none_is_a_bad_sample(what: str, end: str, tmp_path: Path) -> None:
    parts = [GOOD[0], SPOILT[what], *GOOD[1:]]
    text = "".join(f"{part}$$$$\n" for part in parts)
    (tmp_path / "a.sdf").write_bytes(text.replace("\n", end).encode())
    source, modality = Sdf(str(tmp_path / "a.sdf"), val_fraction=0.3), MolecularGraph()
    records = source.everything(modality)
    assert len(records) == len(list(records)) == 5
    with pytest.raises(BadSample):
        read(modality, records[1], None)
    assert [read(modality, record, None)[1] for i, record in enumerate(records) if i != 1] == [
        "CCO",
        "Nc1ccccc1",
        "CC(=O)O",
        "CCN",
    ]
    loader = Loader(records, modality, 2, shuffle=False, bad="skip", bad_path=tmp_path / "bad.jsonl")
    assert sum(len(batch["smiles"]) for batch in loader.epoch_batches()) == 4
    assert "a.sdf entry 2" in (tmp_path / "bad.jsonl").read_text()


def test_files_joined_with_two_ends_and_the_entry_never_validates(tmp_path: Path) -> None:
    text = "".join(f"{part}$$$$\n" for part in GOOD) + "$$$$\n"
    for i in range(8):  # the hash of the name decides: of several names none may hold out the empty entry
        (tmp_path / f"{i}.sdf").write_text(text)
        source = Sdf(str(tmp_path / f"{i}.sdf"))
        val = source.records("val", MolecularGraph())
        assert len(source.records("train", MolecularGraph())) + len(val) == 5
        assert all(read(MolecularGraph(), record, None) for record in val)


def test_input_may_be_an_sdf_file_or_a_folder_of_such(tmp_path: Path) -> None:
    (tmp_path / "lib.sdf").write_text("".join(f"{part}$$$$\n" for part in GOOD))
    (tmp_path / "one.mol").write_text(GOOD[0])
    for given, count in ((tmp_path / "lib.sdf", 4), (tmp_path / "one.mol", 1), (tmp_path, 5)):
        records, _ = open_input(str(given), (), {}, MolecularGraph())
        assert len(records) == count  # type: ignore[arg-type]
        batch, keys = first_batch(MolecularGraph(), records, 8)  # type: ignore[arg-type]
        assert len(keys) == count
    records, _ = open_input(str(tmp_path / "lib.sdf"), (), {}, Molecule())
    with changes() as heard:
        assert read(Molecule(), records[1], None)[1] == "Nc1ccccc1"  # type: ignore[index]
    assert heard == ["an SDF entry, written as SMILES by RDKit"]
    (tmp_path / "a.xyz").write_text("3\n")
    for modality in (MolecularGraph(), Protein()):
        with pytest.raises(UserError, match=r"a.xyz: no reader is known for this ending; known are .*\.csv"):
            open_input(str(tmp_path / "a.xyz"), (), {}, modality)
