"""Spoilt sequences, end to end: every command gives one clear line, or counts and names what it leaves out, in its order."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from maskedmod.cli import main
from tests.test_bad_input import Run, left_out, refused, run

SMALL = [
    "preset=demo", "encoder.depth=1", "encoder.width=16", "encoder.heads=2", "train.steps=1", "train.warmup_steps=0",
    "train.batch_tokens=1024", "train.val_batches=1", "train.baseline_batches=1", "train.tensorboard=false",
]  # fmt: skip
PROTEIN, MOLECULE = ["recipe=esm2", *SMALL], ["recipe=molformer", *SMALL]
DRAW = random.Random(0)
GOOD = {f"g{i}": "".join(DRAW.choices("LAGVSERTIDPKQNFYMHWC", k=20 + i)) for i in range(24)}
FASTA = "".join(f">{name} {'ab'[i % 2]}.1\n{letters}\n" for i, (name, letters) in enumerate(GOOD.items())).encode()
LONG = b"MKTAYIAKQR" * 10_000

SPOILT = {
    "empty": (b">x a.1\n", "1 with no sequence", "the sequence is empty"),
    "digits": (b">x a.1\nMK7T\n", "1 with digits", "'7' at place 3 is a digit, and no amino acid"),
    "not_utf8": (b">x a.1\nMK\xe9T\n", "1 with bytes that are not ASCII in the sequence", "'\u00e9' at place 3 is no amino acid"),
}
"""What stands after the good records, how the file is described, why the record is refused."""

LABELLED = ["data=fasta", "data.path=x.fasta", r"data.label= (\w)\.", "data.val_fraction=0.3"]

__all__ = ["run"]


@pytest.fixture(scope="module")
def proteins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step on good records."""
    folder = tmp_path_factory.mktemp("proteins")
    (folder / "good.fasta").write_bytes(FASTA)
    assert main(["train", *PROTEIN, "data=fasta", f"data.path={folder}/good.fasta", f"out={folder}/run"]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step on the molecules of RDKit."""
    folder = tmp_path_factory.mktemp("molecules") / "run"
    assert main(["train", *MOLECULE, f"out={folder}"]) == 0
    return folder


def listed(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(f"{output}.rejected.jsonl").read_text().splitlines()]


def notes(result: str) -> list[str]:
    found: list[str] = json.loads(Path(result).read_text())["notes"]
    return found


def keys(output: str) -> list[str]:
    return [json.loads(line)["key"] for line in Path(f"{output}.rows.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", SPOILT)
def test_a_record_that_is_no_protein(kind: str, run: Run, proteins: Path) -> None:
    record, described, reason = SPOILT[kind]
    Path("x.fasta").write_bytes(record + FASTA)
    words = ["train", *PROTEIN, "data=fasta", "data.path=x.fasta", "data.val_fraction=0.3"]
    code, text = run(*words, "out=a")
    refused((code, text), "x.fasta record x: ", reason, "train.bad_samples=skip")
    assert f"x.fasta: of 25 records, {described}" in text
    code, text = run(*words, "out=b", "train.bad_samples=skip")
    assert code == 0 and "1 sample could not be read" in text and left_out(Path("b")) == {"x.fasta record x": reason}
    assert run("embed", f"checkpoint={proteins}", "input=x.fasta", "output=x.npy")[0] == 0
    features = np.load("x.npy")
    assert np.isnan(features[0]).all() and np.isfinite(features[1:]).all() and len(features) == 25
    assert keys("x.npy") == [f"x.fasta record {name}" for name in ("x", *GOOD)]
    assert [(row["row"], row["reason"]) for row in listed("x.npy")] == [(0, reason)]
    refused(run("score", f"checkpoint={proteins}", "input=x.fasta", "record=x", "output=s.csv"), "x.fasta record x: ", reason)
    judged = ["eval", f"checkpoint={proteins}", "protocol=knn", "seeds=1", "output=e.json", *LABELLED]
    assert run(*judged)[0] == 0
    said = f"1 samples could not be read and are left out, the first: x.fasta record x: {reason}"
    assert sum(said in note for note in notes("e.json")) == 1


def test_a_long_record(run: Run, proteins: Path) -> None:
    Path("x.fasta").write_bytes(b">x\n" + LONG + b"\n" + FASTA)
    code, text = run("train", *PROTEIN, "data=fasta", "data.path=x.fasta", "data.val_fraction=0", "out=a", "train.val_every=0")
    assert code == 0 and "1 sequences may reach the limit of 512 tokens: training sees a random part of longer ones" in text
    assert run("embed", f"checkpoint={proteins}", "input=x.fasta", "output=x.safetensors", "pool=none")[0] == 0
    from safetensors.numpy import load_file

    found = load_file("x.safetensors")
    assert found["cu_seqlens"][:3].tolist() == [0, 100_000, 100_020] and np.isfinite(found["features"]).all()
    words = ["score", f"checkpoint={proteins}", "input=x.fasta", "record=x", "output=s.csv", "mutants=m.csv"]
    Path("m.csv").write_text("mutant\nM1A\nR100000A\n")
    assert run(*words, "method=masked-marginals")[0] == 0
    assert json.loads(Path("s.csv.meta.json").read_text())["window"].startswith("optimal: 510 residues")
    assert len(Path("s.csv").read_text().splitlines()) == 3


def test_windows_line_ends_change_nothing(run: Run, proteins: Path) -> None:
    for name, content in (("unix", FASTA), ("windows", FASTA.replace(b"\n", b"\r\n"))):
        Path("x.fasta").write_bytes(content)
        assert run("embed", f"checkpoint={proteins}", "input=x.fasta", f"output={name}.npy")[0] == 0
        assert run("score", f"checkpoint={proteins}", "input=x.fasta", "record=g3", f"output={name}.csv")[0] == 0
    assert keys("windows.npy") == keys("unix.npy") and np.array_equal(np.load("windows.npy"), np.load("unix.npy"))
    assert Path("windows.csv").read_bytes() == Path("unix.csv").read_bytes()


def test_names_that_occur_twice(run: Run, proteins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.fasta").write_bytes(FASTA + b">g3 b.1\nMKTAYIA\n>g3 b.1\nMKTAYIAG\n")
    assert main(["embed", f"checkpoint={proteins}", "input=x.fasta", "output=x.npy"]) == 0
    assert "x.fasta: of 26 records, 2 with a name that stood there before" in capsys.readouterr().out
    assert json.loads(Path("x.npy.meta.json").read_text())["notes"] != []
    assert keys("x.npy")[-2:] == ["x.fasta record g3 (2)", "x.fasta record g3 (3)"] and len(np.load("x.npy")) == 26
    said = run("score", f"checkpoint={proteins}", "input=x.fasta", "record=g3", "output=s.csv")
    refused(said, "x.fasta has 3 records called 'g3'")


def test_a_table_without_the_column(run: Run, proteins: Path, molecules: Path) -> None:
    rows = [f"{x},{i / 7},{'test' if i % 3 else 'train'}" for i, x in enumerate(GOOD.values())]
    Path("t.csv").write_text("\n".join(["seq,target,set", *rows]))
    table = ["data=csv", "data.path=t.csv"]
    wrong = "unknown column 'sequence' in t.csv: accepted are seq, target, set; did you mean seq?"
    refused(run("train", *PROTEIN, *table, "data.column=sequence", "out=a"), wrong)
    judged = ["eval", f"checkpoint={proteins}", "protocol=ridge", "seeds=1", *table]
    refused(run(*judged, "data.column=sequence"), wrong)
    refused(run(*judged, "data.label_column=targte"), "'targte'", "did you mean target?")
    refused(run(*judged, "data.label_column=target", "data.split_column=sett"), "'sett'", "did you mean set?")
    refused(run("embed", f"checkpoint={molecules}", "input=t.csv", "output=x.npy"), "t.csv: no column called smiles")


def test_mutants_of_another_protein(run: Run, proteins: Path) -> None:
    Path("w.fasta").write_text(">w\nMKTAYIAKQR\n")
    Path("m.csv").write_text("mutant,lab\nK2A,1\nA2G,2\nK22A,3\nK2,4\nT3W,5\n")
    words = ["score", f"checkpoint={proteins}", "input=w.fasta", "mutants=m.csv", "measured=lab", "output=s.csv"]
    refused(run(*words), "m.csv row 1: A2G, but residue 2 is K; 3 of 5 cannot be scored; bad=skip")
    assert not Path("s.csv").exists() and run(*words, "bad=skip")[0] == 0
    rows = [line.split(",") for line in Path("s.csv").read_text().splitlines()]
    assert [row[0] for row in rows] == ["mutant", "K2A", "A2G", "K22A", "K2", "T3W"]
    assert [row[2] == "" for row in rows[1:]] == [False, True, True, True, False]
    assert [row["row"] for row in listed("s.csv")] == [1, 2, 3]


def test_what_rdkit_cannot_read(run: Run, molecules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = ["CCO", "c1ccccc1", "CC(=O)O", "CCN", "CCCC", "c1ccncc1", "CC(C)O", "CCCl", "CCBr", "OCC", "CCS", "C1CCC1"]
    lines = ["C1CC", *good[:6], "", " " * 20, "C(C)(C)(C)(C)C", *good[6:]]
    Path("x.smi").write_bytes("\r\n".join(lines).encode() + b"\r\nC\xe9C\r\n")
    words = ["train", *MOLECULE, "data=smiles", "data.path=x.smi", "data.val_fraction=0", "train.val_every=0"]
    refused(run(*words, "out=a", "train.bad_samples=raise"), "x.smi row ", "train.bad_samples=skip")
    code, text = run(*words, "out=b", "train.bad_samples=skip")
    assert code == 0 and "2 empty lines left out, the first one is row 8" in text and "3 samples could not be read" in text
    why = left_out(Path("b"))
    assert why["x.smi row 1"] == "'C1CC' cannot be read as SMILES" and "Explicit valence" in why["x.smi row 10"]
    assert why["x.smi row 17"].startswith("is not UTF-8")
    assert main(["embed", f"checkpoint={molecules}", "input=x.smi", "output=x.npy"]) == 0
    assert "2 empty lines left out, the first one is row 8" in capsys.readouterr().out
    assert keys("x.npy") == [f"x.smi row {i + 1}" for i in range(17) if i not in (7, 8)]
    assert np.isnan(np.load("x.npy")).any(1).nonzero()[0].tolist() == [0, 7, 14]
    assert [row["row"] for row in listed("x.npy")] == [0, 7, 14]


def test_lower_case_is_counted_by_an_evaluation(run: Run, proteins: Path) -> None:
    rows = [f"{x.lower() if i < 3 else x},{'ab'[i % 2]},train" for i, x in enumerate(GOOD.values())]
    Path("t.csv").write_text("\n".join(["sequence,label,set", *rows[:16], *(row.replace("train", "test") for row in rows[16:])]))
    words = ["eval", f"checkpoint={proteins}", "protocol=knn", "seeds=1", "data=csv", "data.path=t.csv", "data.split_column=set"]
    assert run(*words, "output=e.json")[0] == 0
    said = "train: 3 samples were altered in reading, the first: t.csv row 0: lower case read as upper case: 20"
    assert said in notes("e.json")


def test_windows_of_an_evaluation(run: Run, proteins: Path, molecules: Path) -> None:
    words = ["eval", f"checkpoint={proteins}", "protocol=knn", "seeds=1", "output=e.json", *LABELLED]
    Path("x.fasta").write_bytes(FASTA)
    assert run(*words, "modality.max_length=8")[0] == 0
    assert "modality.max_length=8, in place of what the encoder was trained with" in notes("e.json")
    refused(run(*words, "modality.alphabet=iupac"), "only max_length, overlap can be changed here")
    refused(run(*words, "modality.overlap=600"), "overlap is 600")
    refused(run("embed", f"checkpoint={molecules}", "output=x.npy", "modality.max_length=9"), "nothing of modality=molecule")
    for name, more in (("whole", []), ("cut", ["modality.max_length=8"])):
        assert run("embed", f"checkpoint={proteins}", "input=x.fasta", f"output={name}.npy", *more)[0] == 0
    assert not np.allclose(np.load("whole.npy"), np.load("cut.npy"))
