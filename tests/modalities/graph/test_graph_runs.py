"""From a table of edges to a trained run and its score, whole and in parts; validation and resuming on one graph."""

from __future__ import annotations

import json
from pathlib import Path

import networkx
import numpy as np
import pytest

from maskedmod.api.evaluate import evaluate
from maskedmod.cli import main
from maskedmod.errors import UserError
from maskedmod.evaluate.settings import Settings
from maskedmod.recipe.config import resolve
from maskedmod.train.run import train

SHORT = [
    "recipe=graph_mae", "preset=tiny", "encoder.width=16", "encoder.heads=2", "train.epochs=null", "train.log_every=1",
    "train.checkpoint_every=2", "train.val_every=2", "train.warmup_steps=0", "train.tensorboard=false", "train.threads=1",
]  # fmt: skip


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A graph of 60 nodes in two communities, whose values tell them, with a published split."""
    draw = np.random.default_rng(0)
    of = np.arange(60) % 2
    a, b = np.triu_indices(60, 1)
    joined = draw.random(len(a)) < np.where(of[a] == of[b], 0.2, 0.02)
    (tmp_path / "edges.csv").write_text("a,b\n" + "".join(f"n{i},n{j}\n" for i, j in zip(a[joined], b[joined], strict=True)))
    rows = [
        f"n{i},{of[i] + draw.normal():.3f},{1 + draw.random():.3f},{'ab'[of[i]]},{('train', 'val', 'test')[i % 3]}"
        for i in range(60)
    ]
    (tmp_path / "nodes.csv").write_text("name,x,y,label,part\n" + "\n".join(rows))
    return [
        *SHORT, "data=edges", f"data.path={tmp_path}/edges.csv", f"data.nodes={tmp_path}/nodes.csv",
        "data.value_columns=[x,y]", "data.split_column=part",
    ]  # fmt: skip


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_one_graph_trains_and_its_nodes_are_judged(words: list[str], tmp_path: Path) -> None:
    run = train(resolve([*words, "train.steps=4", f"out={tmp_path}/run"]))
    text = (run / "metrics.jsonl").read_text()
    assert "val_loss" in text and "val_mean_baseline" in text and list((run / "pictures").glob("*.png"))
    result = evaluate([run], "linear", settings=Settings(level="token", seeds=2), solver="adam", steps=50)
    assert (result.split["train"], result.split["val"], result.split["test"]) == (20, 20, 20)
    assert [len(row.trials) for row in result.rows] == [2, 2, 2] and "published split" in result.split["name"]
    random = evaluate([run], "linear", settings=Settings(level="token", split="random", seeds=1))
    assert (random.split["train"], random.split["test"]) == (48, 6)
    assert len(evaluate([run], "knn", settings=Settings(level="token", folds=3, seeds=1)).rows[0].trials) == 3
    with pytest.raises(UserError, match="is one sample, in training and validation alike; level=token judges its tokens"):
        evaluate([run], "linear")


def test_parts_train_and_go_on_where_they_were(words: list[str], tmp_path: Path) -> None:
    parts = [*words, "modality.neighbours=[3,3]", "modality.seed_nodes=20", "train.batch_size=1", "train.val_batches=1"]
    whole = train(resolve([*parts, "train.steps=4", f"out={tmp_path}/whole"]))
    stopped = [*parts, f"out={tmp_path}/cut"]
    train(resolve([*stopped, "train.steps=4"]))
    for step in (tmp_path / "cut" / "checkpoints").glob("step_*4"):
        for file in step.iterdir():
            file.unlink()
        step.rmdir()
    assert losses(train(resolve([*stopped, "train.steps=4"])))[-2:] == losses(whole)[-2:]
    assert len(set(losses(whole))) == 4


def test_a_spoilt_graph_is_one_line(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "edges.csv").open("a") as file:
        file.write("n1,n60\n")
    assert main(["train", *words, "train.steps=2", f"out={tmp_path}/run"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "edges.csv row" in last and "names node 'n60', which the node table does not have" in last


def test_graph_mae2_is_drawn_though_it_predicts_several_views(tmp_path: Path) -> None:
    run = train(resolve(["recipe=graph_mae2", "preset=demo", "train.steps=2", "train.threads=1", f"out={tmp_path}/run"]))
    assert (run / "report.html").is_file() and list((run / "pictures").glob("*.png"))


def test_files_of_graphs_are_embedded_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nets = tmp_path / "nets"
    nets.mkdir()
    for name in ("a", "b"):
        networkx.write_graphml(networkx.karate_club_graph(), nets / f"{name}.graphml")
    data = ["data=graphs", f"data.path={nets}", "data.val_fraction=0", "train.batch_size=2", "train.steps=2"]
    run = train(resolve([*SHORT, *data, f"out={tmp_path}/run"]))
    out = tmp_path / "out.npy"
    assert main(["embed", f"checkpoint={run}", f"input={nets}", f"output={out}"]) == 0 and np.load(out).shape == (2, 16)
    picture = tmp_path / "a.png"
    assert main(["reconstruct", f"checkpoint={run}", f"input={nets}/a.graphml", f"output={picture}"]) == 0
    assert picture.stat().st_size > 1000
    assert main(["embed", f"checkpoint={run}", "input=edges.csv", f"output={tmp_path}/x.npy"]) == 2
    assert "edges.csv has no file ending in .graphml" in capsys.readouterr().err
