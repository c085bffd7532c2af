"""Labels of residues and of whole proteins, packed, through the trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from maskedmod.modalities.protein import Protein

from maskedmod.core.modality import Record
from maskedmod.evaluate.chosen import Chosen
from maskedmod.evaluate.metrics import measure
from maskedmod.evaluate.token_labels import counts, encode_tokens, on_eligible
from maskedmod.finetune.classifier import features
from maskedmod.finetune.options import options
from maskedmod.finetune.raw import token_values
from maskedmod.finetune.trial import Work, answers, finetune
from maskedmod.recipe.build import build_encoder

SMALL = {"depth": 1, "width": 32, "heads": 2, "positions": "rotary", "classes": 0, "sees": "corrupt"}
QUICK: dict[str, Any] = {"batch_size": 16, "lr": 1e-2, "warmup": 0.1, "smoothing": 0.0, "drop_path": 0.0, "layer_decay": 1.0}
HYDROPHOBIC = set("AVILMFWYC")


def proteins(split: str, count: int) -> list[str]:
    return [record.data for record in list(Protein().demo(split))[:count]]


def neighbours(protein: str) -> list[int]:
    """Of every residue whether the one before it is hydrophobic: no residue tells that by itself."""
    return [int(before in HYDROPHOBIC) for before in "K" + protein[:-1]]


def chosen(texts: list[str]) -> Chosen:
    return Chosen([[Record(text, f"protein {i}") for i, text in enumerate(texts)]], [(0, i) for i in range(len(texts))])


@pytest.mark.parametrize("most", [None, 40])
def test_a_label_for_every_residue(tmp_path: Path, most: int | None) -> None:
    """``most``: proteins are longer than what the model sees at once, and come in windows; none of their labels is lost."""
    torch.manual_seed(0)
    train, test = proteins("train", 96), proteins("val", 24)
    modality = Protein(max_length=most, overlap=8 if most else 0)
    labels = encode_tokens([neighbours(text) for text in train], [f"protein {i}" for i in range(len(train))])
    batch = modality.collate([modality.read(record) for record in chosen(train)])
    held = counts(modality.tokenize(batch)["main"], modality)
    assert held[:, 0].tolist() == [len(text) for text in train] and not on_eligible(labels, held, train)
    encoder = build_encoder({"encoder": {"transformer": SMALL}}, modality)
    job = Work(modality, encoder, chosen(train), labels, options("finetune", {**QUICK, "steps": 90}), rows="tokens")
    out = answers(finetune(job, tmp_path / "a"), chosen(test), 8)
    truth = torch.tensor([one for text in test for one in neighbours(text)])
    known = token_values(modality, chosen(test), "tokens", 8)
    assert len(out) == len(truth) == len(known) == sum(map(len, test))
    assert measure("classes", out, truth)["top1"] > 0.8 > float(truth.float().mean().clamp(min=0.5)) + 0.05


def test_features_of_a_protein_leave_out_its_ends() -> None:
    torch.manual_seed(0)
    modality = Protein()
    encoder = build_encoder({"encoder": {"transformer": SMALL}}, modality).eval()
    tokens = modality.tokenize(modality.collate([modality.read(record) for record in chosen(proteins("val", 3))]))["main"]
    with torch.no_grad():
        each, whole = (features(encoder, tokens, modality, "mean", rows) for rows in ("tokens", "samples"))
    lengths = [len(text) for text in proteins("val", 3)]
    means = torch.stack([part.mean(0) for part in each.split(lengths)])
    assert torch.allclose(means, whole, atol=1e-6)
