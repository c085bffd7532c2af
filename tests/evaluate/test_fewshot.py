"""Few-shot episodes: what is drawn, that nothing leaks, and that easy classes are told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from maskedmod.cli import main
from maskedmod.core.latent import Latent
from maskedmod.core.tokens import Layout
from maskedmod.errors import UserError
from maskedmod.evaluate.features import pooled
from maskedmod.evaluate.judge import judge
from maskedmod.evaluate.labels import Labels
from maskedmod.evaluate.probes.fewshot import Fewshot
from maskedmod.evaluate.probes.svm import Svm
from maskedmod.evaluate.settings import RANDOM, RAW, TRAINED, Settings
from maskedmod.evaluate.splits import Trial
from maskedmod.evaluate.table import Table
from tests.evaluate.test_eval import run  # noqa: F401  (a run of two steps)
from tests.evaluate.test_probes import clouds, known


def labels(per_class: int, classes: int = 7) -> Labels:
    y = torch.arange(per_class * classes) % classes
    return Labels("classes", y, tuple(f"class {i}" for i in range(classes)))


def halves(count: int) -> Trial:
    return Trial(np.arange(count // 2), np.arange(count // 2, count), 0)


def test_an_episode_has_its_ways_and_shots_and_nothing_on_both_sides() -> None:
    every, cut = labels(60), halves(420)
    drawn = Fewshot(ways=5, shots=10, episodes=4, queries=20).draw(every, [cut])
    assert len({tuple(episode.trial.train) for episode in drawn}) == 4
    for episode in drawn:
        train, test = every.y[episode.trial.train], every.y[episode.trial.test]
        wanted = [10 if c in episode.classes else 0 for c in range(7)]
        assert torch.bincount(train, minlength=7).tolist() == wanted
        assert torch.bincount(test, minlength=7).tolist() == [2 * n for n in wanted]
        assert set(episode.trial.train) <= set(cut.train) and set(episode.trial.test) <= set(cut.test)
    again = Fewshot(ways=5, shots=10, episodes=4, queries=20).draw(every, [cut])
    assert all(np.array_equal(a.trial.test, b.trial.test) for a, b in zip(drawn, again, strict=True))


def test_rare_classes_stay_out_and_few_queries_are_said() -> None:
    every = labels(20)
    probe = Fewshot(ways=3, shots=10, episodes=2, queries=20)
    rows = np.arange(140)
    cut = Trial(rows[(every.y.numpy() < 4) & (rows < 70)], rows[rows >= 70], 0)
    drawn = probe.draw(every, [cut])
    assert all(set(episode.classes) <= {0, 1, 2, 3} for episode in drawn)
    assert probe.notes(drawn) == ["some classes have fewer than 20 queries: 30 of 60 in one episode"]
    with pytest.raises(UserError, match="ways=5, shots=10: only 4 classes have 10 training samples"):
        Fewshot(ways=5, shots=10).draw(every, [cut])


def test_classes_far_apart_are_told_and_noise_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(400) % 8
    clear = torch.eye(8)[y] * 5 + 0.1 * torch.randn(400, 8, generator=generator)
    noise = torch.randn(400, 8, generator=generator)
    x: dict[str, list[Tensor]] = {TRAINED: [clear], RANDOM: [noise, noise.flip(0)], RAW: [noise]}
    found = Table(x, y.tolist(), [f"s{i}" for i in range(400)], [f"s{i}" for i in range(400)], 200, "toy")
    for classifier in ("svm", "linear"):
        probe = Fewshot(ways=5, shots=5, episodes=3, queries=10, classifier=classifier)
        result = judge(found, "fewshot", probe, Settings(seeds=2), ["run"])
        assert result.rows[0].mean("top1") > 0.95 and 0.05 < result.rows[1].mean("top1") < 0.45
        assert [len(row.trials) for row in result.rows] == [3, 6, 3]
    told = result.to_json()["split"]
    assert (told["train"], told["test"], len(told["cuts"]), len(told["cuts"][0]["classes"])) == (25, 50, 3, 5)
    assert len(told["episodes_sha256"]) == 64 and "3 episodes of 5 ways and 5 shots" in result.text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"ways": 1}, "ways=1"), ({"classifier": "knn"}, "accepted are svm, linear"), ({"C": 0.0}, "above 0")],
)
def test_settings_that_make_no_sense(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Fewshot(**arguments)  # type: ignore[arg-type]


def test_the_command(run: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    capsys.readouterr()
    words = ["ways=3", "shots=2", "episodes=2", "queries=2", "seeds=2", "pool=mean_max"]
    assert main(["eval", f"checkpoint={run}", "protocol=fewshot", *words]) == 0
    assert "2 episodes of 3 ways and 2 shots" in capsys.readouterr().out
    found = json.loads((run / "eval.json").read_text())
    assert (found["protocol"], len(found["trials"]), len(found["baselines"][RANDOM]["trials"])) == ("fewshot", 2, 4)
    assert found["pool"] == "mean_max" and 0 <= found["mean"] <= 1


def test_svm_of_the_point_papers() -> None:
    """``SVC(C=0.012, linear)`` on features as they are."""
    sklearn = pytest.importorskip("sklearn.svm")
    (x, y), (test, _) = clouds(200), clouds(100)
    scores, chosen = Svm(grid=[0.012], machine="svc", standardise=False).predict(known(x, y), test, 0)
    theirs = sklearn.SVC(C=0.012, kernel="linear").fit(x.numpy(), y.numpy())
    assert (scores.argmax(1).numpy() == theirs.predict(test.numpy())).all() and chosen == {"C": 0.012, "converged": True}
    with pytest.raises(UserError, match="machine=rbf: accepted are linear_svc, svc"):
        Svm(machine="rbf")


def test_mean_plus_largest_leaves_padding_out() -> None:
    x = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [9.0, 9.0]], [[1.0, 1.0], [2.0, 2.0], [6.0, 3.0]]])
    valid = torch.tensor([[True, True, False], [True, True, True]])
    wanted = torch.tensor([[2.0 + 3.0, -3.0 - 2.0], [3.0 + 6.0, 2.0 + 3.0]])
    assert torch.equal(pooled(Latent(x, Layout(valid=valid)), "mean_max"), wanted)
    packed = Layout(cu_seqlens=torch.tensor([0, 2, 5], dtype=torch.int32), max_seqlen=3)
    assert torch.equal(pooled(Latent(torch.cat([x[0, :2], x[1]]), packed), "mean_max"), wanted)
