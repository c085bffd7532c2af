"""The page of real weights, followed to the letter where a registry of packages answers, with the numbers that it states."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maskedmod
from maskedmod.cli import main
from maskedmod.core.apply import Seen
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.sequences.packing import positions
from maskedmod.support.compat import repair_torchaudio, repair_torchvision
from maskedmod.zoo.files.source import read
from tests.parity.golden import agree
from tests.test_docs_commands import FETCHED, commands, fenced

BERT = "real/antiberty/trained_models/AntiBERTy_md_smooth"
REACTIONS = "real/rxnfp/models/transformers/bert_pretrained"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the first block of the page was run. Skips, with the reason, where no registry answers."""
    folder = tmp_path_factory.mktemp("page")
    (_, first), *_ = fenced(FETCHED)
    for words in commands(first):
        words = [sys.executable, "-m", "pip", *words[1:]] if words[0] == "pip" else [sys.executable, *words[1:]]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{shlex.join(words[1:4])} ...: {(done.stderr.strip() or 'failed').splitlines()[-1][:200]}")
    return folder


@pytest.mark.slow
def test_the_page_can_be_followed(real: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(real)
    names: dict[str, Any] = {}
    printed = before = ""
    for language, text in list(fenced(FETCHED))[1:]:
        capsys.readouterr()
        if language == "python":
            exec(text, names)
            printed = capsys.readouterr().out
            for shape in re.findall(r"^print.*# (\[[\d, ]+\])", text, re.MULTILINE):
                assert shape in printed, text
        elif language == "bash":
            said = []
            for words in commands(text):
                assert words[0] == "maskedmod" and main(words[1:]) == 0, capsys.readouterr().err
                said.append(capsys.readouterr().out)
            printed = "".join(said)
        elif language == "text":  # what the page says a command says
            assert all(line in before + printed for line in text.splitlines()), text
        before = printed
    assert "1.90547" in (real / "chains_scored.csv").read_text()
    assert np.load(real / "heavy.npy").shape == (1, 512) and np.load(real / "human.npy").shape == (1, 128)
    assert (real / "scan.png").stat().st_size > 10_000


@torch.no_grad()
def logits(loaded: Any, ids: torch.Tensor) -> torch.Tensor:
    layout = Layout(cu_seqlens=torch.tensor([0, len(ids)], dtype=torch.int32), max_seqlen=len(ids))
    latent = loaded.model.encoder(Seen(Tokens(ids, positions(layout, len(ids)), layout)))
    return loaded.model.objectives["main"].head.logits(latent.tokens)  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "sample"),
    [
        (BERT, "EVQLVESGGGLVQPGGSLRLSCAASGFNIKDTYIHWVRQAPGKGLEWVARIYPTNGYTRYADSVKG"),
        (REACTIONS, "CCO.CC(=O)Cl.[Na+]~[OH-]>>CCOC(C)=O"),
    ],
)
def test_logits_are_those_of_transformers(path: str, sample: str, real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repair_torchvision()
    repair_torchaudio()
    transformers = pytest.importorskip("transformers")
    monkeypatch.chdir(real)
    loaded = maskedmod.load(path)
    model = transformers.BertForMaskedLM(transformers.BertConfig.from_pretrained(path)).eval()
    left = model.load_state_dict(read(path).weights, strict=False)
    assert set(left.missing_keys) <= {"cls.predictions.decoder.bias"}
    ids = loaded.tokenize([sample]).values
    letters: Any = loaded.modality
    assert letters.letters.unk not in ids.tolist()
    with torch.no_grad():
        agree("logits", logits(loaded, ids), model(ids[None]).logits[0])
