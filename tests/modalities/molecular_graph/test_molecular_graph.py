"""Molecular graphs: featurisation, bad input, batches, drawings, SDF files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from maskedmod.modalities.molecular_graph import MolecularGraph, molecule_of
from rdkit import Chem, RDConfig

from maskedmod.core.context import Context
from maskedmod.core.modality import BadSample, Record, changes
from maskedmod.data.sources.csv import Csv
from maskedmod.data.sources.sdf import Sdf
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.reconstruct.dense import reconstruct
from maskedmod.reconstruct.display import picture
from maskedmod.testing import check_modality

SDF = Path(RDConfig.RDDataDir) / "NCI" / "first_200.props.sdf"


def read(data: Any) -> Any:
    return MolecularGraph().read(Record(data, "one"))


def red_centre(image: Any) -> Any:
    """Mean row and column of red pixels."""
    red = image[..., 0].astype(int) - image[..., 1].astype(int) > 100
    assert red.any()
    return np.argwhere(red).mean(0)


def test_contract() -> None:
    check_modality(MolecularGraph())


def test_pretrain_gnns_features() -> None:
    """Written down by hand from the lists of chem/loader.py: elements from 0, chirality, bond types, directions."""
    graph, smiles = read("C[C@H](N)/C=C/Cl")
    assert smiles == "C[C@H](N)/C=C/Cl"
    assert graph.nodes.tolist() == [[5, 0], [5, 2], [6, 0], [5, 0], [5, 0], [16, 0]]
    edges = {(s, t): a for s, t, a in zip(*graph.edges.tolist(), graph.edge_attr.tolist(), strict=True)}
    bonds = {(0, 1): [0, 0], (1, 2): [0, 0], (1, 3): [0, 1], (3, 4): [1, 0], (4, 5): [0, 1]}
    assert edges == bonds | {(t, s): a for (s, t), a in bonds.items()}
    benzene, _ = read("c1ccccc1")
    assert (benzene.edge_attr == [3, 0]).all() and benzene.edge_attr.shape == (12, 2)


def test_molecules_without_bonds() -> None:
    for smiles, atoms in (("C", 1), ("[Na+].[Cl-]", 2)):
        graph, _ = read(smiles)
        assert len(graph) == atoms and graph.edges.shape == (2, 0) and graph.edge_attr.shape == (0, 2)
    modality = MolecularGraph()
    tokens = modality.tokenize(modality.collate([read("C"), read("CO"), read("[Na+].[Cl-]")]))["main"]
    assert tokens.relation is not None and tokens.relation.attr is not None and tokens.layout.cu_seqlens is not None
    assert tokens.relation.edge_index.tolist() == [[2, 1], [1, 2]] and tokens.relation.attr.tolist() == [[0, 0], [0, 0]]
    assert tokens.layout.cu_seqlens.tolist() == [0, 1, 3, 5]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "is empty"),
        ("c1ccc", "cannot be read as SMILES"),
        ("C(C)(C)(C)(C)C", "is no possible molecule"),
        ("*CC", r"atom 0 \(\*\) is no element"),
        ("[NH3]->[Cu]", "bond of atoms 0 and 1 is dative"),
        (Chem.Mol(), "has no atom"),
        ("a\nb\nc\n", "cannot be read as an SDF entry"),
        ("\n\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n", "has no atom"),
        (b"\xff", "is not UTF-8"),
        (17, "expected a SMILES string"),
    ],
)
def test_bad_molecules_say_why(data: Any, reason: str) -> None:
    with pytest.raises(BadSample, match=reason):
        read(data)


def test_what_has_no_id_is_told() -> None:
    molecule = Chem.MolFromSmiles("CC=CC")
    molecule.GetBondWithIdx(1).SetBondDir(Chem.BondDir.EITHERDOUBLE)
    with changes() as heard:
        graph, _ = read(molecule)
    assert heard == ["direction of a bond EITHERDOUBLE has no id and is left out"] and not graph.edge_attr[:, 1].any()


def test_drawing_marks_hidden_atoms_and_keeps_their_places() -> None:
    modality = MolecularGraph()
    tokens = modality.tokenize(modality.collate([read("CCO"), read("c1ccccc1N")]))["main"]
    hidden = torch.zeros(len(tokens.values), dtype=torch.bool)
    hidden[1] = True
    masked = modality.embedding(4).hide(tokens.values, hidden)  # type: ignore[operator]
    assert masked[1].tolist() == [119, 0]
    plain, marked = modality.draw(tokens.values, tokens), modality.draw(masked, tokens, hidden)
    assert [panel.caption for panel in plain] == ["3 atoms", "7 atoms"]
    assert not np.array_equal(plain[0].image, marked[0].image) and np.array_equal(plain[1].image, marked[1].image)
    before, after = (red_centre(panels[0].image) for panels in (plain, marked))
    assert abs(before - after).max() < 25  # the oxygen's letters stay where they were, but for the scale
    unseen = modality.draw(tokens.values, tokens, hidden)
    assert np.array_equal(unseen[0].image, marked[0].image), "a hidden atom shows through"
    guess = tokens.values.clone()
    guess[:3, 0] = torch.tensor([8, 8, 118])  # fluorine in the middle of a chain: nothing that exists, drawn all the same
    assert modality.draw(guess, tokens)[0].image.shape == plain[0].image.shape


def test_predicted_elements_are_drawn() -> None:
    """Original, masked and predicted molecules; what is not hidden stays as it is."""
    model = build_model(resolve(["recipe=attr_masking", "preset=demo", "encoder.depth=2", "encoder.width=16"]))
    batch = model.modality.collate([read("CCO"), read("c1ccccc1N")])
    found = reconstruct(model, batch, Context(seed=3))
    assert found.discrete and found.predicted is not None and found.filled is None and found.error.shape == (2,)
    seen = ~found.hidden
    assert torch.equal(found.predicted[seen].long(), batch["nodes"][seen]) and int(found.hidden.sum()) == 3
    assert picture(found).size[0] > 100


def test_sdf_entries_are_the_molecules_of_rdkit() -> None:
    modality, source = MolecularGraph(), Sdf(str(SDF), label="AMW")
    train, val = source.records("train", modality), source.records("val", modality)
    assert len(train) + len(val) == 200 and len(val) > 3 and "190 entries to train on" in source.notes[0]
    records = source.everything(modality)
    theirs = [molecule for molecule in Chem.SDMolSupplier(str(SDF)) if molecule is not None]
    assert len(theirs) == 200
    for record, molecule in zip(records, theirs, strict=True):
        assert record.label == pytest.approx(float(molecule.GetProp("AMW")))
        assert Chem.MolToSmiles(molecule_of(record.data)) == Chem.MolToSmiles(molecule)
    graph, smiles = modality.read(records[0])
    assert smiles == Chem.MolToSmiles(theirs[0]) and len(graph) == theirs[0].GetNumAtoms()
    assert records[16].key.endswith("first_200.props.sdf entry 17")


def test_sdf_files_that_are_no_such(tmp_path: Path) -> None:
    (tmp_path / "empty.sdf").write_text("\n \n")
    with pytest.raises(UserError, match="has no entry"):
        Sdf(str(tmp_path / "empty.sdf")).everything(MolecularGraph())
    entry = SDF.read_text().split("$$$$\n")[0]
    (tmp_path / "cut.sdf").write_text(entry + "$$$$\r\n" + entry[:300])
    records = Sdf(str(tmp_path / "cut.sdf"), val_fraction=0.0).records("train", MolecularGraph())
    assert len(records) == 2 and len(MolecularGraph().read(records[0])[0]) == 9  # type: ignore[arg-type, index]
    with pytest.raises(BadSample, match="cannot be read as an SDF entry"):
        MolecularGraph().read(records[1])  # type: ignore[index]


def test_scaffold_splits_are_those_of_the_strings(tmp_path: Path) -> None:
    """The same groups whether a molecule is read as a string or as a graph."""
    from maskedmod.modalities.molecule import Molecule

    records = list(Molecule().demo("val")[:40])
    assert set(MolecularGraph().groupings()) == set(Molecule().groupings())
    for name, grouping in MolecularGraph().groupings().items():
        other = Molecule().groupings()[name]
        assert grouping.rule == other.rule and [grouping.group(r) for r in records] == [other.group(r) for r in records]
    path = tmp_path / "table.csv"
    path.write_text("smiles,label\nCCO,1\nc1ccccc1,0\n")
    assert [r.label for r in Csv(str(path)).everything(MolecularGraph())] == [1, 0]
