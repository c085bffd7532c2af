"""The verb on a run of a few steps: the table, the file, the baselines, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from maskedmod.cli import main
from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.token_statistics import token_statistics
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.evaluate.features import encoder_reader, extract, pooled
from maskedmod.evaluate.prepare import table
from maskedmod.evaluate.settings import RANDOM, RAW, TRAINED, Settings
from maskedmod.zoo.load import load

SMALL = ["encoder.depth=1", "encoder.width=24", "encoder.heads=2", "head.depth=1", "head.width=16", "head.heads=2"]
TRAIN = ["train.steps=2", "train.batch_size=8", "train.warmup_steps=0", "train.val_batches=1", "train.baseline_batches=1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "a"
    words = ["recipe=mae", "preset=demo", "modality.size=32", "data.samples=48", f"out={out}", *SMALL, *TRAIN]
    assert main(["train", *words]) == 0
    return out


@pytest.mark.parametrize(("protocol", "grid"), [("knn", []), ("linear", ["grid=[0.001,0.1]"]), ("svm", ["grid=0.001"])])
def test_the_table_has_three_rows_and_the_file_says_all(
    run: Path, capsys: pytest.CaptureFixture[str], protocol: str, grid: list[str]
) -> None:
    capsys.readouterr()
    assert main(["eval", f"checkpoint={run}", f"protocol={protocol}", "seeds=2", *grid]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (TRAINED, RANDOM, RAW)) and "sha256" in shown
    found = json.loads((run / "eval.json").read_text())
    assert (found["protocol"], found["metric"], found["seeds"]) == (protocol, "top1", [0, 1])
    assert found["split"]["train"] == 48 and found["split"]["test"] == 64 and len(found["split"]["test_sha256"]) == 64
    assert len(found["baselines"][RANDOM]["trials"]) == 2 and found["baselines"][RANDOM]["std"] is not None
    assert len(found["trials"]) == (1 if protocol == "knn" else 2) and 0 <= found["mean"] <= 1
    lost = [line for line in found["verdicts"] if "does NOT beat" in line]
    worse = [row for row in found["baselines"].values() if row["mean"] >= found["mean"]]
    assert len(lost) == len(worse) and all(line in shown for line in found["verdicts"])


def test_folds_and_several_checkpoints(run: Path, tmp_path: Path) -> None:
    words = [f"checkpoint={run},{run}", "protocol=linear", "grid=0.01", "folds=3", "seeds=2", f"output={tmp_path}"]
    assert main(["eval", *words]) == 0
    found = json.loads((tmp_path / "eval.json").read_text())
    assert found["split"]["folds"] == 3 and len(found["trials"]) == 6 and len(found["baselines"][RANDOM]["trials"]) == 6
    assert found["chosen"][0] == {"C": 0.01}


def test_features_are_those_of_the_whole_sample(run: Path) -> None:
    """The same in any batch size, and equal to the encoder called by hand on all tokens."""
    loaded = load(run)
    modality = loaded.model.modality
    records = modality.demo("val")[:10]
    readers = {"x": encoder_reader(loaded.model.encoder, modality)}
    once, again = (extract(modality, records, readers, size) for size in (10, 3))
    assert torch.allclose(once.x["x"], again.x["x"], atol=1e-5) and once.keys == [record.key for record in records]
    batch = modality.prepare(modality.collate([modality.read(record) for record in records]), Context(training=False))
    from maskedmod.core.apply import Seen

    latent = loaded.model.encoder(Seen(modality.tokenize(batch)["main"]))
    assert torch.allclose(latent.tokens.mean(1), once.x["x"], atol=1e-5)
    assert pooled(latent, "both").shape == (10, 48) and pooled(latent, "axis").shape == (10, 4 * 24)


def test_random_rows_differ_by_seed_and_repeat(run: Path) -> None:
    found = table([run], ["data.samples=8"], Settings(seeds=2))
    first, second = found.x[RANDOM]
    assert found.train == 8 and not torch.allclose(first, second)
    torch.manual_seed(5)
    assert torch.equal(table([run], ["data.samples=8"], Settings(seeds=1)).x[RANDOM][0], first)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["protocol=linaer"], "did you mean linear?"),
        (["protocol=knn", "grid=1"], "unknown key 'grid' of protocol=knn"),
        (["protocol=ridge"], "is no number, and this protocol predicts numbers"),
        (["protocol=knn", "pool=most"], "pool=most: accepted are mean, sum, max, mean_max, cls, both, axis, grid"),
        (["protocol=knn", "data=folder", "data.path=nowhere"], "data folder nowhere does not exist"),
        (["protocol=knn", "seeds=0"], "seeds=0: must be at least 1"),
        (["protocol=knn", "encoder=teacher"], "this model has no teacher"),
        (["protocol=knn", "k=many"], "k expects an integer, got 'many'"),
    ],
)
def test_one_line_for_what_is_wrong(run: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    capsys.readouterr()
    assert main(["eval", f"checkpoint={run}", *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0], lines


def test_the_axis_mean_leaves_padding_out() -> None:
    x = torch.arange(2 * 6 * 1.0).reshape(2, 6, 1)  # a grid of 3 times x 2 frequencies
    valid = torch.ones(2, 6, dtype=torch.bool)
    valid[1, 2:] = False
    found = pooled(Latent(x, Layout(grid=(3, 2), valid=valid)), "axis")
    assert found.tolist() == [[2.0, 3.0], [6.0, 7.0]]


def test_grid_pooling_is_the_adaptive_mean_over_each_samples_own_extent() -> None:
    x, valid = torch.randn(2, 6 * 5, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(2, 6, 5, dtype=torch.bool)
    valid[0], valid[1, :3] = True, True
    found = pooled(Latent(x, Layout(grid=(6, 5), valid=valid.flatten(1))), "grid").reshape(2, 4, 4, 3)
    for row, frames in ((0, 6), (1, 3)):
        picture = x[row].reshape(6, 5, 3)[:frames].permute(2, 0, 1)
        wanted = torch.nn.functional.adaptive_avg_pool2d(picture, (4, 4)).permute(1, 2, 0)
        torch.testing.assert_close(found[row], wanted)


def test_raw_features_of_any_tokens() -> None:
    values = torch.randn(2, 5, 3)
    valid = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    found = token_statistics(Tokens(values, torch.zeros(2, 5, 1), Layout(valid=valid)), None)
    assert torch.allclose(found[1, 3:], values[1, :2].std(0, correction=0), atol=1e-5) and found.shape == (2, 6)
    ids = torch.tensor([0, 1, 1, 2])
    packed = Layout(cu_seqlens=torch.tensor([0, 3, 4], dtype=torch.int32), max_seqlen=3)
    shares = token_statistics(Tokens(ids, torch.zeros(4, 1), packed), 3)
    assert torch.allclose(shares, torch.tensor([[1 / 3, 2 / 3, 0], [0, 0, 1]]))


def test_the_commands_of_the_page_are_words_that_exist() -> None:
    from maskedmod.recipe.config import split_words
    from maskedmod.verbs.eval import KEYS

    page = (Path(__file__).resolve().parents[2] / "docs" / "evaluate.md").read_text(encoding="utf-8")
    commands = [line.partition("  #")[0].split() for line in page.splitlines() if line.startswith("maskedmod eval")]
    assert len(commands) > 5
    for command in commands:
        assert split_words([word.strip("'") for word in command[2:]], KEYS)
