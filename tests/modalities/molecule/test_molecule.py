"""The molecule adapter: tokens that join to the string again, randomised strings, bad input, stored tokenizers, pictures."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from maskedmod.modalities.molecule import Molecule, canonical, parse, randomised, train_tokenizer
from maskedmod.modalities.molecule.smiles import atom_spans, cut_atoms, cut_characters
from maskedmod.modalities.molecule.vocabulary import atoms, characters

from maskedmod.core.modality import BadSample, Record, changes
from maskedmod.data.groups import Groups
from maskedmod.errors import UserError
from maskedmod.testing import check_modality
from tests.conftest import shared

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
HARD = [
    "[O-2].[249Cf]", "C(=Cc1ccccc1)C1=[O+][Cu-3]2([O+]=C(C)C1)Cl", "N[C@@H](C)C(=O)O", "F/C=C\\F", "C%12CCCCC%12",
    "[13CH3:1][2H]",
    "[Na+].[Cl-]", "[nH]1cccc1", "BrCC[Si](C)(C)C", "O=S(=O)(c1ccccc1)[N-]Cl", "*C#N", "[se]1cccc1", "[Fe+3]", "C[S@](=O)CC",
]  # fmt: skip


def test_no_character_is_lost() -> None:
    rng = random.Random(0)
    lines = shared("data/molecules/zinc_mols/qed_mols.txt").read_text().split()
    assert len(lines) == 86334
    for smiles in [*rng.sample(lines, 1000), *HARD, "C!N", "[C", "C]"]:
        for cut, alphabet in ((cut_atoms, atoms()), (cut_characters, characters())):
            pieces, strange = cut(smiles, alphabet)
            assert "".join(pieces) == smiles
            assert bool(strange) == ("!" in smiles and cut is cut_atoms)


def test_hard_molecules_come_back_from_ids() -> None:
    for tokenizer in ("atoms", "characters"):
        modality = Molecule(tokenizer=tokenizer)
        for smiles in HARD:
            ids = modality.encode(smiles)
            assert modality.decode(ids) == smiles
            assert ids[0] == modality.letters.cls and ids[-1] == modality.letters.eos and modality.letters.unk not in ids


def test_tokens_of_the_published_pattern() -> None:
    assert cut_atoms("C[C@@H](Br)c1cc[nH]c%10Cl", atoms())[0] == [
        "C", "[C@@H]", "(", "Br", ")", "c", "1", "c", "c", "[nH]", "c", "%10", "Cl",
    ]  # fmt: skip
    assert cut_atoms("[249Cf]", atoms())[0] == ["[", "2", "4", "9", "Cf", "]"]


def test_the_vocabulary_never_changes() -> None:
    """Trained models depend on the place of every token."""
    written = hashlib.sha256("\n".join(atoms().tokens).encode()).hexdigest()
    assert (len(atoms()), written[:16]) == (1701, "05111cfde2fde3df")


def test_randomised_strings_are_the_same_molecule() -> None:
    records = Molecule().demo("train")[:30]
    different = 0
    for record in records:
        molecule = parse(record.data)
        for seed in (3, 2**62 + 5):
            other = randomised(molecule, seed)
            assert randomised(molecule, seed) == other
            assert canonical(parse(other)) == canonical(molecule)
            different += other != record.data
    assert different > 30


def test_randomising_is_for_training_and_repeats() -> None:
    modality = Molecule(randomise=1.0)
    plain = modality.read(Record(ASPIRIN, "a"))
    assert plain[1] == ASPIRIN
    seeds = [modality.read(Record(ASPIRIN, "a", extra={"seed": seed}))[1] for seed in (1, 1, 2, 3, 4)]
    assert seeds[0] == seeds[1] and len(set(seeds)) > 2


def test_canonical_form() -> None:
    modality = Molecule(canonical=True)
    assert modality.read(Record("OC(=O)c1ccccc1OC(C)=O", "a"))[1] == modality.read(Record(ASPIRIN, "b"))[1]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("C1CC", "cannot be read as SMILES"),
        ("smiles", "cannot be read as SMILES"),
        ("C(C)(C)(C)(C)C", "no possible molecule"),
        ("  ", "is empty"),
        (b"C\xffC", "not UTF-8"),
        (7, "expected a SMILES string"),
    ],
)
def test_bad_strings_are_named(data: Any, said: str) -> None:
    with pytest.raises(BadSample, match=said):
        Molecule().read(Record(data, "x"))


def test_unknown_characters_are_named_or_told() -> None:
    with pytest.raises(BadSample, match="has !, no token"):
        Molecule(check=False).read(Record("C!C", "x"))
    with changes() as heard:
        ids, _ = Molecule(check=False, unknown="unk").read(Record("C!C", "x"))
    assert heard == ["1 of 3 tokens are not in the vocabulary"] and ids.tolist().count(atoms().unk) == 1


def test_long_molecules_are_not_cut() -> None:
    with pytest.raises(BadSample, match="has 23 tokens, modality.max_length is 20"):
        Molecule(max_length=20).read(Record(ASPIRIN, "x"))


def test_trained_tokenizer_is_kept_with_the_run(tmp_path: Path) -> None:
    lines = [record.data for record in Molecule().demo("train")[:800]]
    file = train_tokenizer(lines, tmp_path / "bpe.json", 200)
    assert train_tokenizer(lines, tmp_path / "again.json", 200).read_bytes() == file.read_bytes()
    modality = Molecule(tokenizer=str(file))
    check_modality(modality)
    ids, smiles = modality.read(Record(lines[5], "x"))
    assert modality.decode(ids.tolist()) == smiles and len(ids) < len(smiles)
    kept = modality.measure([])
    file.unlink()
    later = Molecule(tokenizer=str(file))
    later.statistics.update(kept)
    assert later.spec == modality.spec and np.array_equal(later.read(Record(smiles, "x"))[0], ids)
    with pytest.raises(BadSample, match="no token of the vocabulary"):
        later.read(Record("[Rf]", "x"))
    with pytest.raises(UserError, match=r"expected a tokenizer\.json"):
        _ = Molecule(tokenizer=str(file)).spec


def test_vocabulary_file(tmp_path: Path) -> None:
    file = tmp_path / "vocab.txt"
    file.write_text("<bos>\n<eos>\n<pad>\n<mask>\nC\nO\n(\n)\n=\nc\n1\n")
    modality = Molecule(vocab=str(file))
    assert modality.encode(ASPIRIN)[:3] == [0, 4, 4] and modality.spec.vocab == 11
    file.write_text("C\nO\n")
    with pytest.raises(UserError, match="has no mask token"):
        _ = Molecule(vocab=str(file)).spec


def test_masked_atoms_are_marked() -> None:
    smiles = "[H]OC(Cl)[C@@H](N)C"
    assert [smiles[a:b] for a, b in atom_spans(smiles)] == ["[H]", "O", "C", "Cl", "[C@@H]", "N", "C"]
    modality = Molecule()
    tokens = modality.tokenize(modality.collate([modality.read(Record(smiles, "x"))]))["main"]
    letters = [atoms().tokens[i] for i in tokens.values.tolist()]
    for name in ("Cl", "N"):
        hidden = torch.tensor([letter == name for letter in letters])
        marked, numbers = modality._marked(tokens.values.tolist(), hidden.tolist())
        assert [smiles[a:b] for a, b in [atom_spans(smiles)[i] for i in numbers]] == [name]
        picture = modality.draw(tokens.values, tokens, hidden)[0].image
        assert not np.array_equal(picture, modality.draw(tokens.values, tokens)[0].image)


def test_fingerprints() -> None:
    modality = Molecule()
    batch = modality.collate([modality.read(Record(s, s)) for s in (ASPIRIN, "OC(=O)c1ccccc1OC(C)=O", "CCO")])
    features = modality.raw_features(batch)
    assert features.shape == (3, 1024) and torch.equal(features[0], features[1]) and not torch.equal(features[0], features[2])
    assert set(features.unique().tolist()) == {0.0, 1.0}


def test_demo_has_targets() -> None:
    train, val = Molecule().demo("train"), Molecule().demo("val")
    assert len(train) + len(val) == 4991 and 400 < len(val) < 600
    assert all(isinstance(record.label, float) for record in [*train, *val])
    assert not {canonical(parse(r.data)) for r in train[:300]} & {canonical(parse(r.data)) for r in val}


def test_validation_is_cut_where_needed_but_never_written_anew() -> None:
    molecule = Molecule(randomise=1.0)
    record = replace(molecule.demo("val")[3], extra={"seed": 7})
    assert molecule.read(record)[1] != record.data
    assert molecule.read(replace(record, extra={"seed": 7, "held_out": True}))[1] == record.data


def test_the_ordered_pass_of_training_reads_strings_as_they_are() -> None:
    molecule = Molecule(randomise=1.0)
    records = molecule.demo("val")[:8]
    plain, (batch,) = (
        molecule.collate([molecule.read(record) for record in records]),
        (batch for _, batch in Groups(records, molecule)),
    )
    key = next(name for name, value in plain.items() if isinstance(value, torch.Tensor) and value.ndim == 1)
    assert torch.equal(batch[key], plain[key])
