"""Judging nodes and graphs: rows are tokens, parts are the published ones, probes those of graph papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskedmod.core.apply import Seen
from maskedmod.core.latent import Latent
from maskedmod.core.modality import Modality, Record
from maskedmod.core.tokens import Layout
from maskedmod.data.graphs.graph import clean
from maskedmod.errors import UserError
from maskedmod.evaluate.features import pooled
from maskedmod.evaluate.labels import Labels
from maskedmod.evaluate.probes import svm
from maskedmod.evaluate.probes.linear import Linear
from maskedmod.evaluate.probes.linear_adam import fit_adam
from maskedmod.evaluate.probes.probe import Known
from maskedmod.evaluate.probes.svm import Svm
from maskedmod.evaluate.settings import Settings
from maskedmod.evaluate.splits import folds_of_papers
from maskedmod.evaluate.token_table import extract_tokens, one_sample, raw_token_reader, token_reader, token_trials
from maskedmod.recipe.build import build_modality


class Doubled(nn.Module):
    """An encoder that doubles the values."""

    def forward(self, seen: Seen, taps: Any = ()) -> Latent:
        return Latent(2 * seen.tokens.values, seen.tokens.layout)


@pytest.fixture
def modality() -> Modality:
    return build_modality({"modality": {"graph": {}}})


def graph(n: int, labels: list[Any], first: int = 0, parts: Any = None) -> Record:
    """Nodes that carry their own number, counted from ``first``, in a path."""
    nodes = np.arange(first, first + n, dtype=np.float32)[:, None]
    path = np.stack([np.arange(n - 1), np.arange(1, n)])
    return Record(clean(nodes, path), f"g{first}", labels, {} if parts is None else {"parts": parts})


def test_a_row_for_every_node(modality: Modality) -> None:
    records = [graph(3, ["a", "b", "a"]), graph(2, ["b", None], first=3), graph(4, ["a"] * 4, first=5)]
    readers = {"net": token_reader(Doubled(), modality), "raw": raw_token_reader(modality)}
    found = extract_tokens(modality, records, readers, batch_size=2)
    assert found.x["raw"][:, 0].tolist() == list(range(9)) and torch.equal(found.x["net"], 2 * found.x["raw"])
    assert found.labels == ["a", "b", "a", "b", None, "a", "a", "a", "a"]
    assert found.keys[3:5] == ["g3 token 0", "g3 token 1"] and found.groups == ["g0"] * 3 + ["g3"] * 2 + ["g5"] * 4


def test_labels_must_be_as_many_as_nodes(modality: Modality) -> None:
    with pytest.raises(UserError, match="g0: 2 labels for 3 tokens"):
        extract_tokens(modality, [graph(3, ["a", "b"])], {"raw": raw_token_reader(modality)}, 1)
    with pytest.raises(UserError, match="level=token expects a label for every token"):
        extract_tokens(modality, [Record(graph(3, []).data, "g", 1)], {"raw": raw_token_reader(modality)}, 1)


def test_the_published_parts_point_at_labelled_nodes(modality: Modality) -> None:
    record = graph(6, [0, 1, None, 1, 0, 1], parts={"train": [0, 1, 2], "val": [3], "test": [4, 5]})
    found = extract_tokens(modality, [record], {"raw": raw_token_reader(modality)}, 1)
    assert len(set(found.groups)) == 6, "nodes of one graph are no group"
    rows = [i for i, label in enumerate(found.labels) if label is not None]
    known = type(found)(
        {k: v[rows] for k, v in found.x.items()}, [found.labels[i] for i in rows], [found.keys[i] for i in rows],
        [found.groups[i] for i in rows], 0, [found.places[i] for i in rows],
    )  # fmt: skip
    cuts = token_trials(record, known, Settings(seeds=2))
    assert [cut.seed for cut in cuts] == [0, 1] and cuts[0].val is not None
    assert known.x["raw"][cuts[0].train, 0].tolist() == [0, 1] and known.x["raw"][cuts[0].test, 0].tolist() == [4, 5]


def test_one_graph_without_parts_asks_for_a_split(modality: Modality) -> None:
    record = graph(30, [0, 1] * 15)
    found = extract_tokens(modality, [record], {"raw": raw_token_reader(modality)}, 1)
    with pytest.raises(UserError, match="give split=random or folds=10"):
        token_trials(record, found, Settings())
    cut = token_trials(record, found, Settings(split="random", seeds=1))[0]
    assert len(cut.train) == 24 and len(cut.test) == 3 and not set(cut.train) & set(cut.test)

    class Source:
        def everything(self, modality: Modality) -> list[Record]:
            return [record, record]

    assert one_sample(Source(), modality) == ()


def separable(n: int = 60) -> tuple[Tensor, Tensor]:
    y = torch.arange(n) % 3
    return torch.eye(3)[y] + 0.1 * torch.randn(n, 3), y


def test_the_layer_of_graph_papers_is_a_plain_loop_of_adam() -> None:
    x, y = separable()
    weight, bias = fit_adam(x, y, 3, lr=0.01, weight_decay=1e-2, steps=20, seed=4)
    torch.manual_seed(4)
    layer = nn.Linear(3, 3)
    solver = torch.optim.Adam(layer.parameters(), lr=0.01, weight_decay=1e-2)
    for _ in range(20):
        solver.zero_grad()
        nn.functional.cross_entropy(layer(x), y).backward()
        solver.step()
    assert torch.equal(weight, layer.weight.detach().T) and torch.equal(bias, layer.bias.detach())


@pytest.mark.parametrize("probe", [Linear(solver="adam", lr=0.05), Svm(grid=[1.0], machine="svc_rbf", standardise=False)])
def test_probes_of_graph_papers_learn(probe: Any) -> None:
    x, y = separable(90)
    known = Known(x[:60], Labels("classes", y[:60], ("a", "b", "c")), [str(i) for i in range(60)])
    scores, _ = probe.predict(known, x[60:], 0)
    assert (scores.argmax(1) == y[60:]).float().mean() > 0.95


@pytest.mark.parametrize("rows", [svm.KERNEL_ROWS, 10])
def test_svc_rbf_scores_as_scikit_learn(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """With the kernel computed at once, and pair by pair by scikit-learn where it would not fit."""
    from sklearn.svm import SVC

    monkeypatch.setattr(svm, "KERNEL_ROWS", rows)
    x, y = separable(90)
    known = Known(x[:60], Labels("classes", y[:60], ("a", "b", "c")), [str(i) for i in range(60)])
    scores, chosen = Svm(grid=[0.1], machine="svc_rbf", standardise=False).predict(known, x[60:], 0)
    theirs = SVC(C=0.1, tol=1e-6).fit(x[:60].numpy(), y[:60].numpy())
    assert scores.argmax(1).tolist() == theirs.predict(x[60:].numpy()).tolist() and chosen["C"] == 0.1


@pytest.mark.parametrize("seed", range(3))
def test_svc_rbf_answers_by_votes(seed: int) -> None:
    """Three classes that overlap: where votes are even, scikit-learn answers otherwise than its largest value says."""
    from sklearn.svm import SVC

    draw = torch.Generator().manual_seed(seed)
    x, y = torch.randn(600, 3, generator=draw), torch.randint(0, 3, (600,), generator=draw)
    known = Known(x[:200], Labels("classes", y[:200], ("a", "b", "c")), [str(i) for i in range(200)])
    scores, _ = Svm(grid=[1.0], machine="svc_rbf", standardise=False).predict(known, x[200:], 0)
    theirs = SVC(C=1.0).fit(x[:200].numpy(), y[:200].numpy())
    assert (scores.argmax(1).numpy() == theirs.predict(x[200:].numpy())).mean() > 0.995


def test_the_kernel_is_that_of_scikit_learn() -> None:
    from sklearn.metrics.pairwise import rbf_kernel

    x, test = 100 + torch.randn(40, 5, dtype=torch.float64), 100 + torch.randn(7, 5, dtype=torch.float64)
    gamma = 1 / (5 * float(x.numpy().var()))
    for ours, rows in zip(svm.gaussian_kernel(x, test), (x, test), strict=True):
        np.testing.assert_allclose(ours, rbf_kernel(rows.numpy(), x.numpy(), gamma=gamma), rtol=1e-9)
    same = svm.gaussian_kernel(torch.ones(3, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64))
    assert (same[0] == 1).all() and same[1].shape == (1, 3)


def test_the_best_c_is_that_of_a_search_over_the_same_folds() -> None:
    from sklearn.svm import SVC

    torch.manual_seed(0)
    x, y = torch.randn(80, 6), torch.randint(0, 2, (80,))
    y[x[:, 0] > 0.3] = 1
    known = Known(x, Labels("classes", y, ("a", "b")), [str(i) for i in range(80)])
    grid, parts = [0.01, 0.3, 3.0], folds_of_papers(y, known.groups, 4, 0)
    found = {}
    for c in grid:
        rest = [np.setdiff1d(np.arange(80), held) for held in parts]
        found[c] = np.mean([SVC(C=c).fit(x[r], y[r]).score(x[h], y[h]) for r, h in zip(rest, parts, strict=True)])
    assert len(set(found.values())) > 1
    probe = Svm(grid=grid, inner=4, machine="svc_rbf", standardise=False)
    assert probe.predict(known, x, 0)[1]["C"] == max(grid, key=lambda c: found[c])


def test_pools_of_graphs() -> None:
    x = torch.tensor([[1.0, -2.0], [3.0, -4.0], [5.0, 6.0]])
    packed = Latent(x, Layout(cu_seqlens=torch.tensor([0, 2, 3], dtype=torch.int32), max_seqlen=2))
    assert pooled(packed, "sum").tolist() == [[4, -6], [5, 6]] and pooled(packed, "max").tolist() == [[3, -2], [5, 6]]
    dense = Latent(torch.stack([x, x]), Layout(valid=torch.tensor([[True, True, False], [True, True, True]])))
    assert pooled(dense, "sum").tolist() == [[4, -6], [9, 0]] and pooled(dense, "max").tolist() == [[3, -2], [5, 6]]
