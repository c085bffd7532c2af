"""Scores of mutants: against loops and sums by hand; names of mutants, windows, files, messages."""

from __future__ import annotations

import csv
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import maskedmod
from maskedmod.api.loaded import Loaded
from maskedmod.cli import main
from maskedmod.core.apply import Seen
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.errors import UserError
from maskedmod.heads.lm import Lm
from maskedmod.score import fill, scan, score
from maskedmod.score.heat_map import heat_map, shown
from maskedmod.score.likelihood import Likelihood
from maskedmod.score.methods import start
from maskedmod.score.mutants import kind_of
from maskedmod.score.table import Table, wild_type
from maskedmod.sequences.packing import positions
from tests.conftest import shared

WILD = "MKTAYIAKQR"
SMALL = ["encoder.depth=2", "encoder.width=32", "encoder.heads=4"]


def made(*words: str, recipe: str = "esm2") -> Loaded:
    """A small model with noise on its weights, so that its answers are far from uniform."""
    loaded = maskedmod.create(recipe, *SMALL, *words)
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=draw))
    return loaded


@pytest.fixture(scope="module")
def model() -> Loaded:
    return made()


def alone(loaded: Loaded, text: str, hidden: int | None) -> torch.Tensor:
    """Log probabilities ``[n, V]`` of one sequence in one pass, a residue hidden by its id; nothing of ``maskedmod.score``."""
    alphabet, head = loaded.modality.alphabet, loaded.model.objectives["main"].head
    assert alphabet is not None and isinstance(head, Lm)
    ids = torch.tensor(alphabet.encode(text))
    if hidden is not None:
        ids[1 + hidden] = alphabet.mask
    layout = Layout(cu_seqlens=torch.tensor([0, len(ids)], dtype=torch.int32), max_seqlen=len(ids))
    with torch.no_grad():
        latent = loaded.model.encoder(Seen(Tokens(ids, positions(layout, len(ids)), layout)))
        return head.logits(latent.tokens).log_softmax(-1)[1:-1]


def by_hand(loaded: Loaded, text: str, place: int, new: str, hide: bool) -> float:
    assert loaded.modality.alphabet is not None
    index = loaded.modality.alphabet.index
    found = alone(loaded, text, place if hide else None)[place]
    return float(found[index[new]] - found[index[text[place]]])


def perplexity(loaded: Loaded, text: str) -> float:
    assert loaded.modality.alphabet is not None
    index = loaded.modality.alphabet.index
    total = sum(float(alone(loaded, text, i)[i, index[letter]]) for i, letter in enumerate(text))
    return math.exp(-total / len(text))


@pytest.mark.parametrize("method", ["masked-marginals", "wt-marginals"])
@pytest.mark.parametrize("batch_tokens", [1, 30, 4096])
def test_marginals_equal_a_loop(model: Loaded, method: Any, batch_tokens: int) -> None:
    found = scan(model, WILD, method, batch_tokens=batch_tokens)
    assert found.residues == tuple("ACDEFGHIKLMNPQRSTVWY") and found.values.shape == (10, 20)
    wanted = [[by_hand(model, WILD, i, new, method == "masked-marginals") for new in found.residues] for i in range(10)]
    np.testing.assert_allclose(found.values, wanted, atol=1e-4)
    assert np.abs(found.values).max() > 0.1, "answers that could not be told apart would prove nothing"
    rows = list(found.rows())
    assert len(rows) == 19 * 10 and rows[0][:4] == ("M1A", 1, "M", "A") and all(old != new for _, _, old, new, _ in rows)
    again = score(model, WILD, [name for name, *_ in rows], method)
    np.testing.assert_allclose(again.values, [value for *_, value in rows], atol=1e-4)


def test_the_two_marginals_differ_and_token_dropout_is_each_sequences_own(model: Loaded) -> None:
    masked, plain = (scan(model, WILD, method).values for method in ("masked-marginals", "wt-marginals"))
    assert np.abs(masked - plain).max() > 0.01
    assert model.model.encoder.token_dropout is not None


def test_many_mutations_are_added_up(model: Loaded) -> None:
    single = score(model, WILD, ["K2A", "A4W", "R10D"]).values
    for name in ("K2A:A4W:R10D", "K2A, A4W,R10D", "K2A;A4W;R10D", "K2A_A4W_R10D"):
        assert score(model, WILD, [name]).values[0] == pytest.approx(single.sum(), abs=1e-4)
    assert score(model, WILD, ["WT", "wt", "_wt", "K2K", "K2K:A4A"]).values.tolist() == [0.0] * 5
    assert score(model, WILD, ["K101A"], offset=100).values[0] == pytest.approx(single[0], abs=1e-4)
    assert score(model, WILD, ["K0A"], offset=-1).values[0] == pytest.approx(single[0], abs=1e-4)
    whole = score(model, WILD, ["MATWYIAKQD", WILD]).values
    assert whole.tolist() == pytest.approx([single.sum(), 0.0], abs=1e-4)


def test_pseudo_perplexity_by_hand(model: Loaded) -> None:
    toy = "MKTAY"
    found = score(model, toy, ["WT", "K2W", "K2W:A4C"], "pseudo-perplexity").values
    wanted = [perplexity(model, text) for text in ("MKTAY", "MWTAY", "MWTCY")]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert len({round(value, 3) for value in wanted}) == 3
    several = score(model, None, ["MKTAY", "M", "MKTAYIAK", "MKTAY"], "pseudo-perplexity").values
    np.testing.assert_allclose(several, [perplexity(model, text) for text in ("MKTAY", "M", "MKTAYIAK", "MKTAY")], rtol=1e-5)
    everything = scan(model, toy, "pseudo-perplexity")
    assert everything.values[1, everything.residues.index("W")] == pytest.approx(wanted[1], rel=1e-5)
    assert everything.values[1, everything.residues.index("K")] == pytest.approx(wanted[0], rel=1e-5)
    turned, _ = shown(everything)
    assert turned[1, everything.residues.index("W")] == pytest.approx(math.log(wanted[0] / wanted[1]), abs=1e-5)


def test_pairs_of_residue_and_structure() -> None:
    """Residues are hidden and summed over states; the state of the mutated residue stays."""
    loaded = made(recipe="saprot")
    wild = "MdKvTpAd"
    found = scan(loaded, wild)
    assert found.wildtype == "MKTA" and found.values.shape == (4, 20) and len(list(found.rows())) == 76
    alphabet, head = loaded.modality.alphabet, loaded.model.objectives["main"].head
    assert alphabet is not None and isinstance(head, Lm)
    ids = torch.tensor([alphabet.index[token] for token in ("<cls>", "Md", "#v", "Tp", "Ad", "<eos>")])
    layout = Layout(cu_seqlens=torch.tensor([0, 6], dtype=torch.int32), max_seqlen=6)
    with torch.no_grad():
        latent = loaded.model.encoder(Seen(Tokens(ids, positions(layout, 6), layout)))
        chance = head.logits(latent.tokens)[2].softmax(-1)
    total = {x: sum(float(chance[i]) for i, token in enumerate(alphabet.tokens) if token[0] == x) for x in "KW"}
    assert found.values[1, found.residues.index("W")] == pytest.approx(math.log(total["W"] / total["K"]), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("A2G", "A2G, but residue 2 is K"),
        ("K2A:A5G", "A5G, but residue 5 is Y"),
        ("A24G", "there is no residue 24; the wild type has residues 1 to 10"),
        ("A0G", "there is no residue 0"),
        ("K2*", "'*' is no residue"),
        ("K2-", "'-' is no residue"),
        ("k2a", "'k' is no residue"),
        ("K2", "'K2' is no mutant; expected"),
        ("p.Lys2Ala", "is no mutant"),
        ("K2A:K2C", "changes residue 2 twice"),
        ("", "the cell is empty; the wild type is written WT"),
    ],
)
def test_mutants_that_do_not_fit(model: Loaded, name: str, said: str) -> None:
    with pytest.raises(UserError, match="mutant 1: ") as error:
        score(model, WILD, ["K2A", name])
    assert said in str(error.value)
    found = score(model, WILD, ["K2A", name, "A4A"], bad="skip")
    assert list(found.rejected) == [1] and said in found.rejected[1]
    assert np.isnan(found.values).tolist() == [False, True, False]


def test_sequences_that_do_not_fit(model: Loaded) -> None:
    with pytest.raises(
        UserError, match="mutant 0: has 9 residues, the wild type 10; other lengths need method=pseudo-perplexity"
    ):
        score(model, WILD, ["MKTAYIAKQ"])
    with pytest.raises(UserError, match="mutant 1: '!' at place 3 is no amino acid"):
        score(model, WILD, [WILD, "MK!AYIAKQR"])
    with pytest.raises(UserError, match="name the wild type"):
        score(model, None, ["MKTAY"])
    noted = score(model, WILD, ["mkTAYIAKQR*"]).notes
    assert noted == ["mutant 0: lower case read as upper case: 2", "mutant 0: stop (*) at the end dropped: 1"]


def test_what_a_column_holds() -> None:
    assert kind_of(["WT", "A24G"], "x", ()) == "mutants" and kind_of(["MKT", "MKA"], "x", ()) == "sequences"
    assert kind_of(["MKT", "MK1"], "sequence", ("sequence",)) == "sequences"


def test_settings_and_models_that_cannot() -> None:
    loaded = made()
    for arguments in ({"method": "marginals"}, {"window": "best"}, {"bad": "drop"}, {"batch_tokens": 0}):
        with pytest.raises(UserError, match="|".join(arguments)):
            score(loaded, WILD, ["K2A"], **arguments)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="a masked language model"):
        Likelihood(maskedmod.create("mae", preset="demo").model)


def test_windows() -> None:
    assert [start(place, 30, 10) for place in (0, 4, 5, 6, 15, 24, 25, 26, 29)] == [0, 0, 0, 1, 10, 19, 20, 20, 20]
    assert start(7, 10, 10) == 0 and start(7, 100, None) == 0
    for place in range(3000):  # get_optimal_window of ProteinGym, in residues
        half, length, most = 511, 3000, 1022
        theirs = 0 if place < half else length - most if place >= length - half else place - half
        assert start(place, length, most) == theirs


def test_long_sequences_are_cut_around_the_residue() -> None:
    loaded = made("modality.max_length=8", "modality.overlap=2")
    text = WILD + "LLVGGACD"
    found = scan(loaded, text)
    assert "optimal: 8 residues" in found.window
    for place in (0, 9, 17):
        first = start(place, len(text), 8)
        part = text[first : first + 8]
        wanted = [by_hand(loaded, part, place - first, new, True) for new in found.residues]
        np.testing.assert_allclose(found.values[place], wanted, atol=1e-4)
    plain = scan(loaded, text, "wt-marginals").values[9]
    np.testing.assert_allclose(plain, [by_hand(loaded, text[5:13], 4, new, False) for new in found.residues], atol=1e-4)
    whole = scan(loaded, text, window="full")
    np.testing.assert_allclose(whole.values[9], [by_hand(loaded, text, 9, new, True) for new in found.residues], atol=1e-4)
    assert "full" in whole.window and "not needed" in scan(loaded, text[:8]).window


def test_heat_maps_mark_the_wild_type(model: Loaded) -> None:
    found = scan(model, WILD, "wt-marginals", offset=95)
    picture = np.asarray(heat_map(found, "ten residues"))
    assert picture.shape[2] == 3 and (picture == (22, 27, 34)).all(-1).any()
    longer = heat_map(scan(made(), WILD * 30, "wt-marginals"))
    assert longer.width < 1600 and longer.height > 3 * 20 * 14 > heat_map(found).height


def test_fill(model: Loaded) -> None:
    found = fill(model, "MK<mask>AY<mask>", top=20)
    assert [one.place for one in found] == [2, 5] and all(len(one.tokens) == 20 for one in found)
    alphabet = model.modality.alphabet
    assert alphabet is not None
    ids = torch.tensor(alphabet.encode(["M", "K", "<mask>", "A", "Y", "<mask>"]))
    layout = Layout(cu_seqlens=torch.tensor([0, 8], dtype=torch.int32), max_seqlen=8)
    with torch.no_grad():
        latent = model.model.encoder(Seen(Tokens(ids, positions(layout, 8), layout)))
        chance = model.model.objectives["main"].head.logits(latent.tokens)[3].softmax(-1)  # type: ignore[operator, union-attr]
    assert found[0].probabilities == pytest.approx([float(chance[alphabet.index[t]]) for t in found[0].tokens], abs=1e-5)
    assert sorted(found[0].probabilities, reverse=True) == list(found[0].probabilities)
    assert not {"<cls>", "<mask>", "<unk>"} & {token for one in fill(model, "<mask>", top=99) for token in one.tokens}
    for text, said in (("MKT", "hides nothing"), ("M1<mask>", "'1' at place 2")):
        with pytest.raises(UserError, match=said):
            fill(model, text)


def test_fill_atoms() -> None:
    pytest.importorskip("rdkit")
    for recipe in ("smiles_bert", "molformer"):
        found = made(recipe=recipe).fill("c1ccc<mask>cc1O", top=3)
        assert [one.place for one in found] == [5] and len(found[0].tokens) == 3


# files and the command


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("run") / "esm2")
    words = ["train.steps=1", "train.warmup_steps=0", "train.val_every=0", "train.baseline_batches=1", "train.batch_tokens=512"]
    assert main(["train", "recipe=esm2", "preset=demo", f"out={folder}", "train.tensorboard=false", *SMALL, *words]) == 0
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("wild.fasta").write_text(f">toy a protein\n{WILD}\n")
    return tmp_path


def rows_of(path: str, delimiter: str = ",") -> list[list[str]]:
    with Path(path).open(newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["score", *words]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    return said[0]


def test_a_table_keeps_its_rows_and_columns(run: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        "note,mutant,score",
        "plain,K2A,1.5",
        '"two, and a comma",K2A:A4W,',
        "wild,WT,3",
        "wrong,A2G,4",
        "nan,R10D,nan",
        "last,R10W,2",
    ]
    Path("mutants.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n")
    words = [f"checkpoint={run}", "input=wild.fasta", "mutants=mutants.csv", "output=out/scores.csv", "measured=score"]
    said = refused(capsys, *words)
    assert "mutants.csv row 3: A2G, but residue 2 is K; bad=skip leaves such out and lists them" in said
    assert not Path("out/scores.csv").exists()
    assert main(["score", *words, "bad=skip"]) == 0
    text = capsys.readouterr().out
    assert "6 rows, 5 scored (column masked_marginals), 1 rejected; listed in out/scores.csv.rejected.jsonl" in text
    assert "over 3 rows; 2 rows without a measured value left out" in text and "window optimal: not needed" in text
    table = rows_of("out/scores.csv")
    assert [",".join(row[:3]) for row in table] == [line.replace('"', "") for line in lines]
    assert table[0][3] == "masked_marginals" and table[4][3] == "" and float(table[3][3]) == 0.0
    wanted = score(maskedmod.load(run), WILD, ["K2A", "K2A:A4W", "WT", "R10D", "R10W"]).values
    assert [float(table[i][3]) for i in (1, 2, 3, 5, 6)] == pytest.approx(wanted.tolist(), abs=1e-4)
    (listed,) = (json.loads(line) for line in Path("out/scores.csv.rejected.jsonl").read_text().splitlines())
    assert listed == {"row": 3, "key": "mutants.csv row 3", "what": "rejected", "reason": "A2G, but residue 2 is K"}
    about = json.loads(Path("out/scores.csv.meta.json").read_text())
    assert (about["compared"], about["rejected"], about["method"]) == (3, 1, "masked-marginals") and -1 <= about["spearman"] <= 1


def test_spearman_of_known_ranks(run: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Measured values that follow the scores give 1, for pseudo-perplexities their negatives do."""
    names = ["K2A", "K2W", "A4C", "R10D"]
    for method, sign in (("masked-marginals", 1), ("wt-marginals", 1), ("pseudo-perplexity", -1)):
        values = score(maskedmod.load(run), WILD, names, method).values  # type: ignore[arg-type]
        rows = [f"{name}\t{sign * value}" for name, value in zip(names, values, strict=True)]
        Path("m.tsv").write_text("\n".join(["mutant\tlab", *rows]))
        words = [f"checkpoint={run}", "input=wild.fasta", "mutants=m.tsv", "output=s.tsv", "measured=lab", f"method={method}"]
        assert main(["score", *words]) == 0
        assert "Spearman with lab: 1.0000 over 4 rows" in capsys.readouterr().out
        assert rows_of("s.tsv", "\t")[0] == ["mutant", "lab", method.replace("-", "_")]


def test_whole_sequences_without_a_wild_type(run: str, here: Path) -> None:
    Path("designs.csv").write_text("id,sequence\na,MKTAY\nb,MKTAYI\n")
    words = [f"checkpoint={run}", "mutants=designs.csv", "method=pseudo-perplexity", "output=s.csv", "name=ppl"]
    assert main(["score", *words]) == 0
    table = rows_of("s.csv")
    assert table[0] == ["id", "sequence", "ppl"] and float(table[2][2]) > 1


def test_a_scan_and_its_picture(run: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", f"checkpoint={run}", "input=wild.fasta", "output=scan.csv", "offset=101"]) == 0
    assert "190 mutants of 10 residues" in capsys.readouterr().out
    table = rows_of("scan.csv")
    assert table[0] == ["mutant", "position", "wild_type", "residue", "masked_marginals"] and len(table) == 191
    assert table[1][:4] == ["M101A", "101", "M", "A"] and table[190][:4] == ["R110Y", "110", "R", "Y"]
    assert Image.open("scan.png").width > 400
    assert (
        main(["score", f"checkpoint={run}", "input=wild.fasta", "mutants=scan.csv", "offset=101", "output=b.csv", "name=b"]) == 0
    )
    again = rows_of("b.csv")
    assert all(float(row[4]) == pytest.approx(float(row[5]), abs=1e-5) for row in again[1:])


def test_words_that_do_not_fit(run: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.csv").write_text("name,mutant,wt_marginals,lab\nx,K2A,1,high\n")
    Path("other.csv").write_text("name,text\nx,K2A\n")
    Path("none.csv").write_text("mutant,lab\n")
    Path("two.fasta").write_text(f">a\n{WILD}\n>b\nMK\n")
    model, wild, out = f"checkpoint={run}", "input=wild.fasta", "output=o.csv"
    for words, said in (
        ((wild, out), "name a run folder or weights: checkpoint=PATH"),
        ((model, wild), "name a .csv or .tsv file: output=PATH"),
        ((model, out), "name the wild type: input=FILE.fasta"),
        ((model, wild, "output=o.txt"), "ends in .csv, .tsv"),
        ((model, "input=gone.fasta", out), "gone.fasta does not exist"),
        ((model, "input=two.fasta", out), "two.fasta has 2 records; say which is the wild type with record=NAME (a, b, ...)"),
        ((model, "input=two.fasta", "record=c", out), "has no record 'c' among its 2"),
        ((model, wild, out, "mutants=gone.csv"), "gone.csv does not exist"),
        ((model, wild, out, "mutants=none.csv"), "no row"),
        ((model, wild, out, "mutants=other.csv"), "it has name, text: say column=NAME"),
        ((model, wild, out, "mutants=m.csv", "column=mutnat"), "did you mean mutant?"),
        ((model, wild, out, "mutants=m.csv", "measured=lab"), "m.csv row 0: lab is 'high', expected a number"),
        (
            (model, wild, out, "mutants=m.csv", "method=wt-marginals"),
            "has a column wt_marginals already; name another with name=",
        ),
        ((model, wild, out, "measured=lab"), "belong to a table"),
        ((model, wild, out, "method=marginal"), "did you mean"),
        ((model, wild, out, "offset=one"), "offset expects an integer"),
        ((model, wild, out, "batch_tokens=0"), "of at least 1"),
        ((model, wild, out, "metod=x"), "did you mean method?"),
    ):
        assert said in refused(capsys, *words), words


def test_published_tables_are_read() -> None:
    """Every mutant of the published assays fits its wild type by its number."""
    folder = shared("data/proteins/proteingym_single")
    small = made("encoder.depth=1", "encoder.width=16", "encoder.heads=2")
    counted = 0
    for path in sorted((folder / "mutant").glob("*.csv")):
        table = Table.read(str(path))
        _, letters = wild_type(str(folder / "fasta" / f"{path.stem}.fasta"), None)
        cells = table.cells("mutant")
        found = score(small, letters, cells, "wt-marginals", window="full")
        assert not found.rejected and np.isfinite(found.values).all() and len(found.values) == len(cells)
        counted += len(cells)
    assert counted > 1000


def test_lengths_of_one_batch_may_differ(model: Loaded) -> None:
    """Sequences of many lengths share packed batches; none feels the others."""
    texts = [WILD[:n] for n in (1, 10, 3, 7, 2)]
    together = score(model, None, texts, "pseudo-perplexity").values
    apart = [score(model, None, [text], "pseudo-perplexity", batch_tokens=1).values[0] for text in texts]
    np.testing.assert_allclose(together, apart, rtol=1e-5)
    assert all(a != b for a, b in pairwise(together))
