"""Metrics against scikit-learn and scipy, with ties, missing labels and columns of one kind."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from maskedmod.evaluate import metrics
from maskedmod.evaluate.metrics import measure

reference = pytest.importorskip("sklearn.metrics")


def some(n: int = 300, classes: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and classes; the last class has no sample."""
    return torch.randn(n, classes), torch.randint(0, classes - 1, (n,))


def test_top_k_and_macro_f1() -> None:
    scores, truth = some()
    every = list(range(8))
    assert metrics.top(scores, truth, 1) == pytest.approx(reference.top_k_accuracy_score(truth, scores, k=1, labels=every))
    assert metrics.top(scores, truth, 5) == pytest.approx(reference.top_k_accuracy_score(truth, scores, k=5, labels=every))
    guess = scores.argmax(1)
    assert metrics.macro_f1(guess, truth) == pytest.approx(reference.f1_score(truth, guess, average="macro"))


def test_average_precision_and_roc_auc_with_ties() -> None:
    scores = torch.randn(300).mul(3).round().double()
    truth = (torch.rand(300) < 0.3).double()
    assert metrics.average_precision(scores, truth) == pytest.approx(reference.average_precision_score(truth, scores))
    assert metrics.roc_auc(scores, truth) == pytest.approx(reference.roc_auc_score(truth, scores))


def test_missing_labels_and_undefined_columns_are_left_out() -> None:
    scores, truth = torch.randn(200, 3), (torch.rand(200, 3) < 0.4).float()
    truth[torch.rand(200, 3) < 0.3] = math.nan
    truth[:, 2] = 0.0  # no positive: undefined
    wanted = [reference.roc_auc_score(truth[k, i], scores[k, i]) for i in (0, 1) for k in [~truth[:, i].isnan()]]
    found = metrics.measure("tags", scores, truth)
    assert found["roc_auc"] == pytest.approx(np.mean(wanted)) and 0 < found["map"] < 1
    assert math.isnan(metrics.measure("tags", scores, torch.zeros(200, 3))["map"])


def test_rmse_and_spearman() -> None:
    stats = pytest.importorskip("scipy.stats")
    guess, truth = torch.randn(100).mul(4).round().double(), torch.randn(100).mul(4).round().double()
    assert metrics.spearman(guess, truth) == pytest.approx(stats.spearmanr(guess, truth).statistic)
    assert metrics.rmse(guess, truth) == pytest.approx(reference.mean_squared_error(truth, guess) ** 0.5)
    assert math.isnan(metrics.spearman(torch.ones(5), truth[:5]))


def test_two_classes_have_a_roc_auc() -> None:
    scores = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    found = measure("classes", scores, torch.tensor([0, 1, 0, 1]))
    assert found["roc_auc"] == 1.0 and found["top1"] == 0.75
    assert "roc_auc" not in measure("classes", torch.rand(4, 3), torch.tensor([0, 1, 2, 1]))
