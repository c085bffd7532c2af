"""Protocols against scikit-learn, and what they may and may not look at."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.evaluate.labels import Labels, encode
from maskedmod.evaluate.metrics import top
from maskedmod.evaluate.probes.knn import Knn
from maskedmod.evaluate.probes.linear import Linear
from maskedmod.evaluate.probes.probe import Known, Scaler
from maskedmod.evaluate.probes.ridge import Ridge
from maskedmod.evaluate.probes.svm import Svm
from maskedmod.evaluate.splits import digest, disjoint, folds, folds_of_papers, hold_out


def clouds(n: int, spread: float = 3.0, classes: int = 5, width: int = 24) -> tuple[Tensor, Tensor]:
    """Overlapping classes with features of very different scales and one constant feature."""
    y = torch.randint(0, classes, (n,))
    centres = torch.randn(classes, width, generator=torch.Generator().manual_seed(1))
    x = (centres[y] + spread * torch.randn(n, width)) * torch.logspace(-2, 2, width) + 5
    x[:, 3] = 7.0
    return x, y


def known(x: Tensor, y: Tensor, classes: int = 5) -> Known:
    return Known(x, Labels("classes", y, tuple(str(i) for i in range(classes))), [str(i) for i in range(len(x))])


@pytest.mark.parametrize("c", [0.001, 0.1, 10.0])
def test_linear_equals_logistic_regression(c: float) -> None:
    sklearn = pytest.importorskip("sklearn.linear_model")
    (x, y), (test, truth) = clouds(1500), clouds(2000)
    ours, chosen = Linear(grid=[c], iterations=500).predict(known(x, y), test, 0)
    scale = Scaler(x)
    theirs = sklearn.LogisticRegression(C=c, max_iter=5000, tol=1e-8).fit(scale(x).numpy(), y.numpy())
    wanted = theirs.score(scale(test).numpy(), truth.numpy())
    assert chosen == {"C": c} and abs(top(ours, truth, 1) - wanted) < 0.002
    chance = torch.from_numpy(theirs.predict_proba(scale(test).numpy())).float()
    assert torch.allclose(ours.softmax(1), chance, atol=2e-3)


def test_linear_chooses_on_the_training_part() -> None:
    """Noisy, few samples: strong regularisation wins, and the same seed chooses the same."""
    x, y = clouds(80, spread=6.0, width=120)
    test, truth = clouds(2000, spread=6.0, width=120)
    scores, chosen = Linear().predict(known(x, y), test, 3)
    again, same = Linear().predict(known(x, y), test, 3)
    assert torch.equal(scores, again) and chosen == same and chosen["C"] < 1
    loose, _ = Linear(grid=[10.0]).predict(known(x, y), test, 3)
    assert top(scores, truth, 1) > top(loose, truth, 1)


def test_linear_on_tags_leaves_missing_labels_out() -> None:
    sklearn = pytest.importorskip("sklearn.linear_model")
    x = torch.randn(600, 8)
    y = (x[:, :2] + torch.randn(600, 2) > 0).float()
    y[::3, 0] = math.nan
    part = Known(x, Labels("tags", y), [str(i) for i in range(600)])
    scores, _ = Linear(grid=[1.0]).predict(part, x, 0)
    has, scale = ~y[:, 0].isnan(), Scaler(x)
    theirs = sklearn.LogisticRegression(C=1.0).fit(scale(x)[has].numpy(), y[has, 0].numpy())
    assert np.allclose(scores[:, 0].numpy(), theirs.decision_function(scale(x).numpy()), atol=0.02)


def test_knn_is_the_weighted_vote() -> None:
    (x, y), (test, _) = clouds(60), clouds(7)
    scores, _ = Knn(k=5, temperature=0.07).predict(known(x, y), test, 0)
    similar = torch.nn.functional.cosine_similarity(test[:, None], x[None], dim=2)
    for row, votes in zip(similar, scores, strict=True):
        wanted = torch.zeros(5)
        for i in row.argsort(descending=True)[:5]:
            wanted[y[i]] += torch.exp(row[i] / 0.07)
        assert torch.allclose(votes / votes.sum(), wanted / wanted.sum(), atol=1e-4)
    with pytest.raises(UserError, match="k must be at least 1"):
        Knn(k=0)


def test_ridge_equals_ridge() -> None:
    sklearn = pytest.importorskip("sklearn.linear_model")
    x = torch.randn(200, 12) * torch.logspace(-1, 2, 12)
    y = x @ torch.randn(12, 2) + torch.randn(200, 2)
    y[:20, 1] = math.nan
    part = Known(x, Labels("numbers", y), [str(i) for i in range(200)])
    found, chosen = Ridge(grid=[3.0]).predict(part, x, 0)
    assert chosen == {"alpha": 3.0}
    for column in (0, 1):
        has = ~y[:, column].isnan()
        scale = Scaler(x[has])
        theirs = sklearn.Ridge(alpha=3.0).fit(scale(x[has]).numpy(), y[has, column].numpy())
        assert np.allclose(found[:, column].numpy(), theirs.predict(scale(x).numpy()), atol=2e-2, rtol=1e-4)
    assert Ridge().predict(part, x, 0)[1]["alpha"] < 10


def test_svm_equals_linear_svc_and_knows_its_classes() -> None:
    sklearn = pytest.importorskip("sklearn.svm")
    (x, y), (test, _) = clouds(300), clouds(100)
    scores, _ = Svm(grid=[0.1]).predict(known(x, y), test, 0)
    scale = Scaler(x)
    theirs = sklearn.LinearSVC(C=0.1, dual="auto", random_state=0).fit(scale(x).numpy(), y.numpy())
    assert (scores.argmax(1).numpy() == theirs.predict(scale(test).numpy())).mean() > 0.99
    two, _ = Svm(grid=[0.01, 1.0], inner=3).predict(known(x, (y > 2).long() * 3, 5), test, 0)
    assert set(two.argmax(1).tolist()) <= {0, 3}


def test_parts_keep_groups_together_and_classes_even() -> None:
    y = torch.arange(120) % 4
    groups = [str(i // 3) for i in range(120)]  # three windows a recording, of different classes
    parts = folds(y, groups, 5, 0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(120))
    for part in parts:
        inside = {groups[i] for i in part}
        assert not inside & {groups[i] for i in np.setdiff1d(np.arange(120), part)}
    single = folds(y, [str(i) for i in range(120)], 5, 0)
    assert all(np.bincount(y[part].numpy()).tolist() == [6, 6, 6, 6] for part in single)
    rows, held = hold_out(y, groups, 1)
    assert len(held) == 24 and not set(rows) & set(held)
    assert not np.array_equal(held, hold_out(y, groups, 2)[1])
    with pytest.raises(UserError, match="2 independent samples cannot make 3 folds"):
        folds(y[:2], ["a", "b"], 3, 0)


def test_single_samples_are_dealt_out_as_papers_do() -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    y, alone = torch.arange(60) % 3, [str(i) for i in range(60)]
    theirs = selection.StratifiedKFold(10, shuffle=True, random_state=3).split(y, y)
    for ours, (_, test) in zip(folds_of_papers(y, alone, 10, 3), theirs, strict=True):
        assert ours.tolist() == test.tolist()
    pairs = [str(i // 2) for i in range(60)]
    for labels, groups in [(y, pairs), (y.float(), alone), (torch.stack([y, y], 1), alone), (torch.arange(60), alone)]:
        for ours, plain in zip(folds_of_papers(labels, groups, 5, 1), folds(labels, groups, 5, 1), strict=True):
            assert ours.tolist() == plain.tolist()
    rare = torch.tensor([0] * 57 + [1] * 3)  # three samples for five folds
    assert sorted(np.concatenate(folds_of_papers(rare, alone, 5, 0)).tolist()) == list(range(60))


def test_the_hash_does_not_depend_on_place_or_order() -> None:
    keys = ["/data/clips/a/1.wav", "/data/clips/b/2.wav"]
    moved = ["other/a/1.wav", "other/b/2.wav"]
    assert digest(keys, keys) == digest(moved[::-1], moved) != digest(keys[:1], keys)
    with pytest.raises(UserError, match="1 samples are in the training and in the test part"):
        disjoint(keys, keys[1:])


def test_labels_become_the_task_they_are() -> None:
    assert encode(["10", "9", 2], False, "abc").names == ("2", "9", "10")
    assert encode([[0, 1], [None, 1]], False, "ab").task == "tags"
    assert encode(["1.5", 2], True, "ab").y.tolist() == [[1.5], [2.0]]
    with pytest.raises(UserError, match=r"b: label 0.5 is a number, not a class; protocol=ridge"):
        encode([1.0, 0.5], False, "ab")
    with pytest.raises(UserError, match="a: label 'dog' is no number"):
        encode(["dog"], True, "a")
    with pytest.raises(UserError, match=r"b: 1 labels, a has 2"):
        encode([[0, 1], [1]], False, "ab")
