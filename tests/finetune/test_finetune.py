"""Training on labels from start to end: on toy samples, and as a command on a run of a few steps."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from maskedmod.cli import main
from maskedmod.errors import UserError
from maskedmod.evaluate.labels import Labels
from maskedmod.evaluate.metrics import measure
from maskedmod.evaluate.settings import RANDOM, RAW
from maskedmod.evaluate.token_labels import encode_tokens
from maskedmod.finetune.options import options
from maskedmod.finetune.saved import load_network
from maskedmod.finetune.trial import Work, answers, finetune
from tests.evaluate.toy import Flat, encoder, records, samples

TRAIN, TEST = samples(192, 1), samples(96, 2)
NAN = float("nan")
QUICK: dict[str, Any] = {"steps": 80, "batch_size": 32, "lr": 3e-3, "drop_path": 0.0, "layer_decay": 1.0}


def work(labels: Labels, given: list[Tensor] | None = None, **changes: Any) -> Work:
    more = {key: changes.pop(key) for key in ("rows", "seed", "modality") if key in changes}
    torch.manual_seed(0)
    modality = more.pop("modality", Flat())
    chosen = options("finetune", {**QUICK, **changes})
    return Work(modality, encoder(), records(given or TRAIN), labels, chosen, **more)


def by_sign(given: list[Tensor]) -> Labels:
    return Labels("classes", torch.tensor([int(x.mean(0)[0] > 0) for x in given]), ("down", "up"))


def sums(given: list[Tensor]) -> Tensor:
    """Two numbers of very different size."""
    return torch.stack([torch.stack([1000 + 50 * x.mean(0)[1], x.mean(0)[2] / 100]) for x in given])


def test_classes_beat_chance_and_repeat_by_seed(tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        model = finetune(work(by_sign(TRAIN), seed=seed, steps=40), tmp_path / name)
        found.append(answers(model, records(TEST), 40))
    assert measure("classes", found[0], by_sign(TEST).y)["top1"] > 0.85
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_tags_with_missing_answers(tmp_path: Path) -> None:
    def tags(given: list[Tensor]) -> Tensor:
        return torch.stack([(x.mean(0)[:2] > 0).float() for x in given])

    y = tags(TRAIN)
    y[::3, 0] = NAN
    model = finetune(work(Labels("tags", y)), tmp_path / "a")
    assert measure("tags", answers(model, records(TEST), 40), tags(TEST))["map"] > 0.9


def test_numbers_come_back_on_their_own_scale(tmp_path: Path) -> None:
    y = sums(TRAIN)
    y[5, 1] = NAN
    model = finetune(work(Labels("numbers", y), steps=200), tmp_path / "a")
    out, truth = answers(model, records(TEST), 40), sums(TEST)
    wrong = (out - truth).square().mean(0).sqrt()
    assert bool((wrong < 0.4 * truth.std(0)).all()), wrong
    assert bool(((out.mean(0) - truth.mean(0)).abs() < 0.3 * truth.std(0)).all())


@pytest.mark.parametrize("packed", [False, True])
def test_labels_of_tokens(tmp_path: Path, packed: bool) -> None:
    def tokens(given: list[Tensor]) -> list[list[int | None]]:
        return [[None if i == 1 else int(one[3] > 0) for i, one in enumerate(x)] for x in given]

    labels = encode_tokens(tokens(TRAIN), [f"sample {i}" for i in range(len(TRAIN))])
    model = finetune(work(labels, rows="tokens", modality=Flat(packed)), tmp_path / "a")
    out = answers(model, records(TEST), 40)
    truth = torch.tensor([-1 if one is None else one for sample in tokens(TEST) for one in sample])
    assert out.shape == (len(truth), 2)
    assert measure("classes", out[truth >= 0], truth[truth >= 0])["top1"] > 0.9


def test_a_frozen_encoder_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    chosen = options("linear_lars", {"steps": 100, "batch_size": 64, "lr": 20.0})
    one = replace(work(by_sign(TRAIN)), options=chosen)
    before = {name: tensor.clone() for name, tensor in one.encoder.state_dict().items()}
    model = finetune(one, tmp_path / "a")
    after = model.net.encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert measure("classes", answers(model, records(TEST), 40), by_sign(TEST).y)["top1"] > 0.8
    assert model.judged.norm.num_batches_tracked == 100 and not model.net.norm.training


def test_a_trial_is_done_once_and_anew_under_other_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a"
    first = answers(finetune(work(by_sign(TRAIN), steps=6, ema=0.9), out), records(TEST), 40)
    stamp = (out / "metrics.jsonl").stat().st_mtime_ns
    assert not (out / "checkpoints").exists() and len((out / "metrics.jsonl").read_text().splitlines()) == 6
    again = answers(finetune(work(by_sign(TRAIN), steps=6, ema=0.9), out), records(TEST), 40)
    assert torch.equal(first, again) and (out / "metrics.jsonl").stat().st_mtime_ns == stamp
    with pytest.raises(UserError, match="finished network of other settings; name another folder with output="):
        finetune(work(by_sign(TRAIN), steps=7, ema=0.9), out)
    assert torch.equal(answers(finetune(work(by_sign(TRAIN), steps=6, ema=0.9), out), records(TEST), 40), first)
    (out / "network.safetensors").unlink()  # as if it had been stopped
    capsys.readouterr()
    finetune(work(by_sign(TRAIN), steps=7, ema=0.9), out)
    assert "starts anew" in capsys.readouterr().err and len((out / "metrics.jsonl").read_text().splitlines()) == 7


@pytest.mark.parametrize("more", [{}, {"lora_rank": 2, "lora_dropout": 0.1}])
def test_an_interrupted_trial_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]) -> None:
    """Stopped by a signal in the middle: the answers are those of a trial that was not."""
    import signal

    from maskedmod.finetune.classifier import Classifier
    from maskedmod.train.stop import Interrupted

    whole = answers(finetune(work(by_sign(TRAIN), steps=8, ema=0.9, **more), tmp_path / "a"), records(TEST), 40)
    step = Classifier.after_step

    def stopping(self: Classifier, ctx: Any) -> None:
        step(self, ctx)
        if ctx.step == 3:
            os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(Classifier, "after_step", stopping)
    with pytest.raises(Interrupted):
        finetune(work(by_sign(TRAIN), steps=8, ema=0.9, **more), tmp_path / "b")
    assert (tmp_path / "b" / "checkpoints" / "step_00000004").is_dir()
    monkeypatch.setattr(Classifier, "after_step", step)
    again = answers(finetune(work(by_sign(TRAIN), steps=8, ema=0.9, **more), tmp_path / "b"), records(TEST), 40)
    assert torch.equal(again, whole)


def test_samples_that_cannot_be_read_are_replaced_and_listed(tmp_path: Path) -> None:
    broken: list[Any] = list(TRAIN)
    broken[0] = broken[100] = None
    model = finetune(work(by_sign(TRAIN), broken, steps=12), tmp_path / "a")
    listed = (tmp_path / "a" / "bad_samples.jsonl").read_text().splitlines()
    assert {json.loads(line)["key"] for line in listed} == {"sample 0", "sample 100"}
    assert answers(model, records(TEST), 40).isfinite().all()


SMALL = ["encoder.depth=1", "encoder.width=24", "encoder.heads=2", "head.depth=1", "head.width=16", "head.heads=2"]
STEPS = ["train.steps=2", "train.batch_size=8", "train.warmup_steps=0", "train.val_batches=1", "train.baseline_batches=1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "a"
    words = ["recipe=mae", "preset=demo", "modality.size=32", "data.samples=40", f"out={out}", *SMALL, *STEPS]
    assert main(["train", *words]) == 0
    return out


def test_the_command_trains_three_rows_once(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", f"checkpoint={run}", "protocol=finetune", "steps=3", "batch_size=16", "seeds=2", "mixup=0.8", "cutmix=1"]
    assert main(words) == 0
    found = json.loads((run / "eval.json").read_text())
    assert found["protocol"] == "finetune" and json.loads((run / "eval_finetune.json").read_text()) == found
    assert len(found["trials"]) == 2 and len(found["baselines"][RANDOM]["trials"]) == 2 and RAW in found["baselines"]
    assert found["chosen"][0]["layer_decay"] == 0.75 and found["baselines"][RANDOM]["chosen"][0]["layer_decay"] == 1.0
    assert sorted(path.name for path in (run / "finetune").iterdir()) == [
        "pre-trained_0", "pre-trained_1", "random_initialisation_0", "random_initialisation_1"
    ]  # fmt: skip
    stamps = {path: path.stat().st_mtime_ns for path in (run / "finetune").glob("*/*.*")}
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert json.loads((run / "eval.json").read_text()) == found
    assert main(["eval", f"checkpoint={run}", "protocol=knn"]) == 0
    assert json.loads((run / "eval_finetune.json").read_text()) == found
    knn = json.loads((run / "eval.json").read_text())
    assert knn["protocol"] == "knn" and knn["split"] == found["split"]


def test_a_trained_network_is_loaded_and_answers_as_it_did(run: Path) -> None:
    words = ["protocol=finetune", "steps=2", "batch_size=16", "seeds=1", "ema=0.9", f"output={run / 'other'}"]
    assert main(["eval", f"checkpoint={run}", *words]) == 0
    folder = run / "other" / "finetune" / "pre-trained_0"
    model, names = load_network(folder)
    listed = list(model.modality.demo("val"))
    truth = torch.tensor([names.index(str(record.label)) for record in listed])
    found = measure("classes", answers(model, listed, 16), truth)
    assert found == pytest.approx(json.loads((folder / "result.json").read_text()))
    with pytest.raises(UserError, match="holds no network"):
        load_network(run)


@pytest.mark.parametrize(("task", "metric"), [("numbers", "rmse"), ("tags", "map"), ("tokens", "top1")])
def test_other_labels_of_files(run: Path, tmp_path: Path, task: str, metric: str) -> None:
    """The kind of task is read from the labels; images of 32 pixels have 16 tokens here."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", 24), ("test", 16)):
        images = torch.randint(0, 255, (count, 4, 4, 3), generator=generator, dtype=torch.uint8)
        labels: list[Any] = [1.5 + i for i in range(count)]
        if task == "tags":
            labels = [[i % 2, None if i % 5 == 0 else i % 3 % 2] for i in range(count)]
        if task == "tokens":
            labels = [image.flatten(0, 1)[:, 0].div(86, rounding_mode="floor").tolist() for image in images]
        files = []
        for image in images:
            file = io.BytesIO()
            Image.fromarray(image.numpy()).resize((32, 32), Image.Resampling.NEAREST).save(file, "png")
            files.append({"bytes": file.getvalue(), "path": None})
        pq.write_table(pa.table({"image": files, "label": labels}), tmp_path / f"{part}.parquet")
    data = ["data=parquet", f"data.path={tmp_path / 'train.parquet'}", f"data.val_path={tmp_path / 'test.parquet'}"]
    words = ["protocol=finetune", "steps=2", "batch_size=8", "seeds=1", "augment=no", f"output={tmp_path}"]
    assert main(["eval", f"checkpoint={run}", *data, *words]) == 0
    found = json.loads((tmp_path / "eval.json").read_text())
    facts = json.loads((tmp_path / "finetune" / "pre-trained_0" / "finetune.json").read_text())
    assert (facts["task"], found["metric"], found["split"]["test"]) == (task, metric, 16)
    assert found["baselines"].keys() == {RANDOM, RAW}
    if task == "tokens":  # the label of a token is its red value, in three steps: a linear map of its own values tells the ends
        assert found["baselines"][RAW]["mean"] > 0.6
    if task == "numbers":
        assert 3 < found["mean"] < 12  # near the deviation of the labels: the answers are on their scale


def test_folds_and_frozen_encoders(run: Path, tmp_path: Path) -> None:
    words = ["protocol=linear_lars", "steps=2", "batch_size=16", "folds=2", "seeds=1", "samples=24", f"output={tmp_path}"]
    assert main(["eval", f"checkpoint={run}", *words]) == 0
    found = json.loads((tmp_path / "eval_linear_lars.json").read_text())
    assert len(found["trials"]) == 2 and (tmp_path / "linear_lars" / "pre-trained_0_fold1" / "result.json").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["protocol=finetune", "grid=1"], "unknown key 'grid' of protocol=finetune"),
        (["protocol=finetune", "augment=maybe"], "augment expects yes or no"),
        (["protocol=finetune", "task=tags"], "task=tags: the labels are classes"),
        (["protocol=finetune", "task=tokens", "augment=no"], "task=tokens expects a list with a class for every token"),
        (["protocol=finetune", "task=tokens"], "do not move along with an augmentation: set augment=no"),
    ],
)
def test_one_line_for_what_is_wrong(run: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    capsys.readouterr()
    assert main(["eval", f"checkpoint={run}", *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0], lines
