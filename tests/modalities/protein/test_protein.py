"""Proteins: the published alphabets, how letters are read, cuts, pictures, raw features and families."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from maskedmod.modalities.protein import Rules, alphabet
from maskedmod.modalities.protein.pairs import PairEmbedding

from maskedmod.core.modality import BadSample, Modality, Record, changes
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_modality


def protein(**arguments: Any) -> Modality:
    return build_modality({"modality": {"protein": arguments}})


def letters(modality: Modality, text: Any) -> tuple[str, list[str]]:
    """What a text is read as, with cls and eos left out, and what was said of it."""
    with changes() as heard:
        ids = modality.read(Record(text, "x")).tolist()
    assert modality.alphabet is not None
    return "".join(modality.alphabet.decode(ids)), heard


def test_the_alphabet_of_esm() -> None:
    esm = alphabet("esm")
    listed = "<cls> <pad> <eos> <unk> L A G V S E R T I D P K Q N F Y M H W C X B U Z O . - <null_1> <mask>"
    assert esm.tokens == tuple(listed.split()) and len(esm) == 33
    assert (esm.cls, esm.pad, esm.eos, esm.unk, esm.mask) == (0, 1, 2, 3, 32) and esm.standard == tuple(range(4, 24))
    assert esm.special == {0, 1, 2, 31, 32}


def test_the_other_alphabets() -> None:
    iupac, pairs = alphabet("iupac"), alphabet("saprot")
    assert (len(iupac), iupac.index["A"], iupac.index["K"], iupac.index["Z"], iupac.mask) == (30, 5, 14, 29, 1)
    assert (len(pairs), pairs.tokens[5], pairs.tokens[-1], pairs.mask) == (446, "Ap", "##", 4) and len(pairs.standard) == 400


def test_esm_ids_are_those_of_transformers(tmp_path: Any) -> None:
    transformers = pytest.importorskip("transformers")
    (tmp_path / "vocab.txt").write_text("\n".join(alphabet("esm").tokens))
    theirs = transformers.EsmTokenizer(str(tmp_path / "vocab.txt"))
    text = "MKTAYIAKQRLXBUZO"
    assert theirs(text)["input_ids"] == protein().read(Record(text, "x")).tolist()


@pytest.mark.parametrize(
    ("arguments", "text", "read", "said"),
    [
        ({}, "MKTXBUZO", "MKTXBUZO", []),
        ({}, "mkT", "MKT", ["lower case read as upper case: 2"]),
        ({}, "MKT*", "MKT", ["stop (*) at the end dropped: 1"]),
        ({}, "MK*T** \n", "MKXT", ["stop (*) at the end dropped: 2", "stop (*) inside read as X: 1", "white space dropped: 2"]),
        ({}, "M-K.T", "MKT", ["gaps dropped: 2"]),
        ({"gaps": "keep"}, "M-K.T", "M-K.T", []),
        ({}, "MJK", "MXK", ["J read as X: 1"]),
        ({"rare": "x"}, "MUZOBX", "MXXXXX", ["B, Z, U or O read as X: 4"]),
        ({}, "M K T", "MKT", ["white space dropped: 2"]),
        ({"alphabet": "iupac"}, "MKTX", "MKTX", []),
        ({"alphabet": "saprot"}, "MdE#Xp", "MdE##p", ["X, B, Z, U, O or J read as #: 1"]),
        ({}, b"MKT", "MKT", []),
    ],
)
def test_reading(arguments: dict[str, Any], text: Any, read: str, said: list[str]) -> None:
    assert letters(protein(**arguments), text) == (read, said)


@pytest.mark.parametrize(
    ("arguments", "text", "said"),
    [
        ({}, "", "is empty"),
        ({}, "--*", "no residue, only gaps or stops"),
        ({}, "MK7", "'7' at place 3 is a digit"),
        ({}, "M&K", "'&' at place 2 is no amino acid"),
        ({}, "MKé", "'é' at place 3"),
        ({}, 7, "int is no protein"),
        ({"alphabet": "saprot"}, "MdE", "even number"),
        ({"alphabet": "saprot"}, "MdeE", "'e' at place 2"),
    ],
)
def test_what_is_no_protein(arguments: dict[str, Any], text: Any, said: str) -> None:
    with pytest.raises(BadSample, match=said):
        protein(**arguments).read(Record(text, "x"))


def test_arguments_that_do_not_fit() -> None:
    for arguments in ({"max_length": 0}, {"max_length": 10, "overlap": 10}, {"alphabet": "iupac", "gaps": "keep"}):
        with pytest.raises(UserError):
            protein(**arguments)


def test_a_training_seed_cuts_and_none_does_not() -> None:
    modality, text = protein(max_length=5, overlap=1), "LAGVSERTIDPKQNFYMHWC"
    assert len(modality.read(Record(text, "x"))) == 22
    cut, _ = letters(modality, text)
    found = {tuple(modality.read(Record(text, "x", None, {"seed": seed})).tolist()) for seed in range(200)}
    assert len(found) == 16 and all(len(ids) == 7 and ids[0] == 0 and ids[-1] == 2 for ids in found)
    assert cut == text


def test_hiding_a_pair_leaves_its_structure() -> None:
    pairs = alphabet("saprot")
    embedding = PairEmbedding(pairs, 4)
    ids = torch.tensor([pairs.index[token] for token in ("<cls>", "Md", "##", "Yc", "Ap")])
    hidden = torch.tensor([True, True, True, False, True])
    assert [pairs.tokens[i] for i in embedding.hide(ids, hidden)] == ["<mask>", "#d", "##", "Yc", "#p"]
    assert torch.equal(embedding.hide(ids, None), ids)


def test_raw_features_are_shares() -> None:
    modality = protein()
    batch = modality.collate([modality.read(Record(text, "x")) for text in ("LLAX", "G", "LA" * 30)])
    raw = modality.raw_features(batch)
    assert raw.shape == (3, 20 + 1 + 400)
    order = "LAGVSERTIDPKQNFYMHWC"
    assert raw[0, :2].tolist() == pytest.approx([2 / 3, 1 / 3]) and raw[0, 20].exp() == pytest.approx(4)
    pairs = raw[:, 21:].reshape(3, 20, 20)
    assert pairs[0, 0, 0] == 0.5 and pairs[0, 0, 1] == 0.5 and pairs[1].sum() == 0  # L-L and L-A; A-X and ends are no pairs
    assert pairs[2, order.index("L"), order.index("A")] == pytest.approx(30 / 59)


def test_pictures_hide_letters() -> None:
    modality = protein()
    batch = modality.collate([modality.read(Record("MKTAY" * k, "x")) for k in (1, 30)])
    tokens = modality.tokenize(batch)["main"]
    plain, hidden = modality.draw(tokens.values, tokens), modality.draw(tokens.values, tokens, tokens.eligible)
    assert [p.image.shape for p in plain] == [(18, 70, 3), (54, 700, 3)] == [p.image.shape for p in hidden]
    assert not np.array_equal(plain[1].image, hidden[1].image)


def test_families_are_alike_inside_and_unlike_outside() -> None:
    records = protein().demo("train")[:64]
    words = [{record.data[i : i + 3] for i in range(len(record.data) - 2)} for record in records]

    def shared(same: bool) -> float:
        pairs = [(a, b) for a in range(64) for b in range(a) if (records[a].label == records[b].label) == same]
        return float(np.mean([len(words[a] & words[b]) / len(words[a]) for a, b in pairs]))

    assert shared(True) > 10 * shared(False)
    assert len(Rules().encode(records[0].data)) == len(records[0].data)
