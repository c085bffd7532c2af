"""Runs that version 0.1 left half way: they go on, are judged, embedded, reconstructed and scored, with its numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import maskedmod
from maskedmod.cli import main

FOLDER = Path(__file__).parent / "runs_of_0_1"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
CLOSE = {"rel": 1e-4, "abs": 1e-5}
"""Another processor rounds otherwise; on the one that made the numbers they are equal."""


@pytest.fixture(params=EXPECTED)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a run folder, called after its recipe."""
    return Path(shutil.copytree(FOLDER / request.param, tmp_path / request.param))


def losses(run: Path) -> dict[str, float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {str(row["step"]): row["loss"] for row in rows if "loss" in row}


def test_it_goes_on(run: Path) -> None:
    expected = EXPECTED[run.name]
    half = losses(run)
    assert len(half) == len(expected["losses"]) / 2
    assert main(["train", f"recipe={run.name}", *expected["words"].split(), f"out={run}"]) == 0
    assert losses(run) == pytest.approx(expected["losses"], **CLOSE)
    assert {step: loss for step, loss in losses(run).items() if step in half} == half, "steps before the checkpoint ran again"


def test_features(run: Path) -> None:
    model = maskedmod.load(run)
    samples = list(model.modality.demo("val"))[:4] if run.name == "mae" else ["MKTAYIAKQRQISFVKSHFSRQ", "EVQLVESGGGLVQPGGSLRLSC"]
    wanted = torch.tensor(EXPECTED[run.name]["embed"])
    torch.testing.assert_close(model.embed(samples)[:, : wanted.shape[1]], wanted, rtol=1e-4, atol=1e-5)


def test_reconstructions() -> None:
    model = maskedmod.load(FOLDER / "mae")
    found, wanted = model.reconstruct(list(model.modality.demo("val"))[:4], seed=3), EXPECTED["mae"]
    assert int(found.hidden.sum()) == wanted["hidden"] and found.mean_error is not None
    assert found.error.tolist() == pytest.approx(wanted["error"], **CLOSE)
    assert found.mean_error.tolist() == pytest.approx(wanted["mean_error"], **CLOSE)


def test_scores_and_filled_places() -> None:
    model, wanted = maskedmod.load(FOLDER / "esm2"), EXPECTED["esm2"]
    found = model.score("MKTAYIAKQRQISFVKSHFSRQ", ["M1A", "K2R"]).values
    assert found.tolist() == pytest.approx(wanted["score"], **CLOSE)
    (filled,) = model.fill("MKT<mask>YIAK", top=2)
    assert list(filled.tokens) == wanted["fill"][0] and list(filled.probabilities) == pytest.approx(wanted["fill"][1], **CLOSE)


def test_it_is_judged(tmp_path: Path) -> None:
    run, wanted = Path(shutil.copytree(FOLDER / "mae", tmp_path / "mae")), EXPECTED["mae"]
    assert main(["eval", f"checkpoint={run}", "protocol=knn", "seeds=1"]) == 0
    found = json.loads((run / "eval.json").read_text())
    rows = {"pre-trained": found["mean"], **{name: row["mean"] for name, row in found["baselines"].items()}}
    assert rows == pytest.approx(wanted["top1"], abs=1 / 64 + 1e-6), "more than one of 64 pictures is told otherwise"
    assert found["split"]["train_sha256"] == wanted["train_sha256"]
