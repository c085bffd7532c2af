"""Runs on packed batches: killed and resumed with the same losses, the unigram entropy to beat, features of any length."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maskedmod
from maskedmod.core.modality import Record
from maskedmod.embed import embed
from maskedmod.errors import UserError
from maskedmod.evaluate.features import encoder_reader, extract
from maskedmod.recipe.build import build_modality
from maskedmod.recipe.config import resolve
from maskedmod.train.run import train

SMALL = [
    "recipe=tape", "preset=demo", "encoder.depth=1", "encoder.width=32", "encoder.heads=2", "modality.max_length=40",
    "modality.overlap=10", "train.batch_tokens=600", "train.warmup_steps=2", "train.val_batches=2", "train.tensorboard=false",
    "train.health_every=0", "train.log_every=1",
]  # fmt: skip


def fasta(path: Path, count: int = 60) -> str:
    draw = np.random.default_rng(3)
    rows = ["".join(draw.choice(list("LLLLAAGVSERTIDPKQNFYMHWC"), int(n))) for n in draw.integers(5, 90, count)]
    path.write_text("".join(f">p{i} kind={i % 2}\n{row}\n" for i, row in enumerate(rows)))
    return str(path)


def words(folder: Path, out: str, steps: int, **more: Any) -> list[str]:
    data = ["data=fasta", f"data.path={fasta(folder / 'x.fasta')}", "data.val_fraction=0.2", r"data.label=kind=(\d)"]
    extra = [f"{key.replace('__', '.')}={value}" for key, value in more.items()]
    return [*SMALL, *data, f"out={folder / out}", f"train.steps={steps}", *extra]


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def validations(run: Path) -> list[dict[str, float]]:
    return [line for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if "val_loss" in line]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    return train(resolve(words(folder, "whole", 14, train__checkpoint_every=5)))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_killed_in_mid_epoch_and_resumed(accumulate: int, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, name = whole.parent, f"killed{accumulate}"
    given = {"train__checkpoint_every": 5, "train__accumulate": accumulate}
    reference = whole if accumulate == 1 else train(resolve(words(folder, "whole2", 14, **given)))
    from maskedmod.train.trainer import Trainer

    step = Trainer._step

    def dies(self: Trainer, number: int, *rest: Any) -> Any:
        if number == 8:
            raise KeyboardInterrupt
        return step(self, number, *rest)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "_step", dies)
        train(resolve(words(folder, name, 14, **given)))
    assert losses(train(resolve(words(folder, name, 14, **given)))) == losses(reference)
    assert len(losses(reference)) == 14


def test_the_mean_to_beat_is_the_unigram_entropy(whole: Path) -> None:
    (last,) = validations(whole)[-1:]
    letters = Counter("LLLLAAGVSERTIDPKQNFYMHWC")
    entropy = -sum(n / 24 * math.log(n / 24) for n in letters.values())
    assert last["val_mean_baseline"] == pytest.approx(entropy, abs=0.25)  # cls and eos would lower it by far more
    assert "val_loss" in last


def test_tokens_must_be_shared_out(whole: Path) -> None:
    with pytest.raises((UserError, ValueError), match="batch_tokens 600 is not divisible by 7"):
        train(resolve(words(whole.parent, "bad", 2, train__accumulate=7)))
    with pytest.raises((UserError, ValueError), match="train.lr must be given"):
        train(resolve(words(whole.parent, "bad2", 2, train__lr="null", train__base_lr=0.1)))


def test_features_leave_out_what_stands_around(whole: Path) -> None:
    loaded = maskedmod.load(whole)
    texts = ["MKTAYIAKQR", "LLG", "A" * 100]
    every = loaded.embed(texts, pool="none")
    assert every.shape == (3, 100, 32) and every[0].isnan().any(1).sum() == 90 and not every[2].isnan().any()
    torch.testing.assert_close(loaded.embed(texts), torch.nanmean(every, 1), atol=1e-5, rtol=1e-5)
    one_by_one = torch.cat([loaded.embed(text) for text in texts])
    torch.testing.assert_close(loaded.embed(texts), one_by_one, atol=1e-5, rtol=1e-5)
    assert loaded.embed(texts, pool="cls").shape == (3, 32)
    records = [Record(text, text) for text in texts]
    found = extract(loaded.modality, records, {"x": encoder_reader(loaded.model.encoder, loaded.modality)}, batch_size=2)
    torch.testing.assert_close(found.x["x"], one_by_one, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ending", ["parquet", "safetensors"])
def test_embedding_a_fasta(ending: str, whole: Path, tmp_path: Path) -> None:
    texts = ["MKTAY", "mk", "M1K", "A" * 100, "MKT*"]
    source = tmp_path / "in.fasta"
    source.write_text("".join(f">r{i}\n{text}\n" for i, text in enumerate(texts)))
    done = embed(whole, source, tmp_path / f"all.{ending}", pool="none", batch_size=2, part_records=2)
    assert (done.rows, done.rejected, done.altered) == (5, 1, 2)
    lines = [json.loads(line) for line in done.listed.read_text().splitlines()]
    assert [line["row"] for line in lines] == [1, 2, 4] and "digit" in lines[1]["reason"]
    expected = [maskedmod.load(whole).embed(text.rstrip("*"), pool="none")[0] for text in texts if "1" not in text]
    if ending == "parquet":
        import pyarrow.parquet as parquet

        table = parquet.read_table(tmp_path / "all.parquet")
        rows = table.column("features").to_pylist()
        assert rows[2] is None and [key.split()[-1] for key in table.column("key").to_pylist()] == [f"r{i}" for i in range(5)]
        found = [torch.tensor(row) for row in rows if row is not None]
    else:
        from safetensors.torch import load_file

        tensors = load_file(tmp_path / "all.safetensors")
        assert tensors["cu_seqlens"].tolist() == [0, 5, 7, 7, 107, 110]
        found = [part for part in tensors["features"].split(tensors["cu_seqlens"].diff().tolist()) if len(part)]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    pooled = embed(whole, source, tmp_path / "mean.npy")
    assert np.isnan(np.load(pooled.output)).any(1).tolist() == [False, False, True, False, False]
    with pytest.raises(UserError, match="sequences differ in length"):
        embed(whole, source, tmp_path / "all.npy", pool="none")


def test_embedding_a_table(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("name,seq,label\na,MKT,1\nb,GGG,2\n")
    assert embed(whole, tmp_path / "in.csv", tmp_path / "a.npy").rows == 2
    data = ["data=csv", f"data.path={tmp_path / 'in.csv'}", "data.column=seq"]
    embed(whole, None, tmp_path / "b.npy", data=data)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    with pytest.raises(UserError, match="column"):
        embed(whole, None, tmp_path / "c.npy", data=["data=csv", f"data.path={tmp_path / 'in.csv'}", "data.column=protein"])


def test_build_modality_is_the_one_of_the_run(whole: Path) -> None:
    assert build_modality(maskedmod.load(whole).tree).spec.vocab == 30
