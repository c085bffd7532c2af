"""Parts of GPT-GNN: the graph with its copies, edges against others, the queue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from maskedmod.modalities.graph import Graph
from torch import nn

from maskedmod.core.apply import Seen, apply
from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.mask_set import Where
from maskedmod.core.masking import packed_from_masked
from maskedmod.core.modality import Record
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step, View
from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.encoders.gin import Gin
from maskedmod.heads.edge_match import EdgeMatch
from maskedmod.layers.graphs.generated import Generated, generated
from maskedmod.masks.generation import Generation, larger
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.targets.true_edge import TrueEdge

SPEC = Spec(values=4, axes=1, width=8, target=40)


def tokens(loops: bool = False) -> Tokens:
    """A path of four nodes, and a triangle."""
    pairs = [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (4, 6)]
    edges = [*pairs, *((b, a) for a, b in pairs), *([(i, i) for i in range(7)] if loops else [])]
    layout = Layout(cu_seqlens=torch.tensor([0, 4, 7], dtype=torch.int32), max_seqlen=4)
    return Tokens(torch.randn(7, 4), torch.zeros(7, 1), layout, relation=Relation(torch.tensor(edges).T))


def pairs_of(edges: Any) -> set[tuple[int, int]]:
    return {(a, b) for a, b in edges.T.tolist()}


@pytest.mark.parametrize("loops", [False, True])
def test_the_larger_graph(loops: bool) -> None:
    rows = tokens(loops)
    chosen = torch.tensor([False, True, False, True, False, True, False])
    mask = larger(rows, chosen, torch.tensor([[1], [0]]), torch.zeros(1, dtype=torch.long))
    assert mask.nodes is not None and mask.relation is not None and mask.layout is not None and mask.removed is not None
    assert mask.nodes.tolist() == [0, 1, 2, 3, 1, 3, 4, 5, 6, 5] and mask.targets.tolist() == [4, 5, 9]
    assert mask.layout.cu_seqlens is not None and mask.layout.cu_seqlens.tolist() == [0, 6, 10]
    assert mask.removed.tolist() == [[1], [0]]
    originals = {(1, 2), (2, 1), (2, 3), (3, 2), (6, 7), (7, 6), (7, 8), (8, 7), (6, 8), (8, 6)}
    copies = {(2, 4), (2, 5), (6, 9), (8, 9)}
    own = {(i, i) for i in range(10)} if loops else set()
    assert pairs_of(mask.relation.edge_index) == originals | copies | own
    assert torch.equal(mask.source(rows).values, rows.values[mask.nodes])


def test_copies_send_nothing_and_hide_what_they_carry() -> None:
    rows = tokens()
    chosen, removed = torch.tensor([True, False] * 3 + [True]), torch.tensor([[2, 4], [1, 6]])
    mask = larger(rows, chosen, removed, torch.zeros(2, dtype=torch.long))
    encoder = Gin(SPEC, lambda width: nn.Linear(4, width), depth=3, width=8, sees="mask_token", norm="none").eval()
    nn.init.normal_(encoder.input.mask_token)  # type: ignore[arg-type]
    found = encoder(apply(rows, mask, "mask_token")).tokens
    assert rows.relation is not None
    edges = rows.relation.edge_index
    gone = (edges[:, :, None] == torch.cat([removed, removed.flip(0)], 1)[:, None]).all(0).any(1)
    alone = encoder(Seen(replace(rows, relation=Relation(edges[:, ~gone])))).tokens
    assert torch.allclose(found[mask.keep], alone, atol=1e-6)
    seen = apply(rows, mask, "mask_token")
    spoilt = seen.tokens.values.index_fill(0, mask.targets, 1e6)
    assert torch.equal(encoder(replace(seen, tokens=replace(seen.tokens, values=spoilt))).tokens, found)


def test_what_is_drawn() -> None:
    graph = Graph()
    records = graph.demo("train")[:6]
    rows = graph.tokenize(graph.collate([graph.read(Record(r.data, r.key)) for r in records]))["main"]
    mask = Generation(SPEC, ratio=0.3, edges=0.5)(rows, Context(generator=torch.Generator().manual_seed(0)))
    assert mask.nodes is not None and mask.removed is not None and mask.relation is not None and rows.relation is not None
    assert len(mask.targets) == int(0.3 * len(rows.values))
    chosen = mask.nodes[mask.targets]
    assert torch.isin(mask.nodes[mask.removed[0]], chosen).all()
    left, were = pairs_of(mask.relation.edge_index), pairs_of(rows.relation.edge_index)
    removed = pairs_of(mask.removed)
    assert removed and not left & (removed | {(b, a) for a, b in removed})
    assert {(int(mask.nodes[a]), int(mask.nodes[b])) for a, b in removed} <= were
    share = len(removed) / sum(1 for a, b in were if a < b)
    assert 0.08 < share < 0.22  # 0.3 of the nodes, half of their edges lead backwards, half of these
    for name, value in (("ratio", 0.0), ("edges", 1.0)):
        with pytest.raises(ValueError, match=f"mask.{name} must lie"):
            Generation(SPEC, **{name: value})
    with pytest.raises(ValueError, match="mask=generation"):
        generated(packed_from_masked(torch.tensor([True, False])))


def view_of(rows: Tokens, mask: Generated) -> View:
    assert mask.nodes is not None
    return View(rows, rows, mask, Latent(torch.randn(len(mask.nodes), 8)))


def test_scores_are_those_of_a_plain_loop() -> None:
    rows = tokens()
    mask = larger(rows, torch.tensor([True] * 7), torch.tensor([[1, 6], [0, 5]]), torch.tensor([40, 107]))
    head = EdgeMatch(SPEC, queue=16, temperature=0.1).eval()
    view = view_of(rows, mask)
    found = head(view, Where(mask.targets)).detach()
    x = view.student.tokens
    assert mask.removed is not None and mask.known is not None and found.shape == (2, 40)
    known = pairs_of(mask.known)
    step = Step(Graph(), {}, Context(), {"main": view})
    true = TrueEdge(SPEC, candidates=40)(step, "main", Where(mask.targets))
    assert true.tolist() == [0, 27]
    for row, place, (t, s) in zip(found, true.tolist(), mask.removed.T.tolist(), strict=True):
        row[[0, place]] = row[[place, 0]].clone()
        asked = head.map(x[t]).detach()
        assert float(row[0]) == pytest.approx(float(F.cosine_similarity(asked, x[s], dim=0)) / 0.1, abs=1e-4)
        others = [i for i in mask.keep.tolist() if i != t and (i, t) not in known]
        wanted = sorted(float(F.cosine_similarity(asked, x[i], dim=0)) / 0.1 for i in others)
        rest = sorted(v for v in row[1:].tolist() if v > -29)
        assert len(rest) == len(others) and rest == pytest.approx(wanted, abs=1e-4)
        assert (row[24:] == -30).all(), "the queue is shut at the start"


def test_the_queue_opens_and_keeps_the_newest() -> None:
    rows = tokens()
    mask = larger(rows, torch.tensor([True] * 7), torch.tensor([[1], [0]]), torch.zeros(1, dtype=torch.long))
    head = EdgeMatch(SPEC, queue=16).train()
    sizes = []
    for step in range(4):
        view = view_of(rows, mask)
        scores = head(view, Where(mask.targets))
        sizes.append(int((scores[0, 24:] > -29).sum()))
        head.after_step(Context(step=step + 1, max_steps=4))
        assert torch.equal(head.queue[:7], view.student.tokens[mask.keep])
    assert sizes == [0, 4, 8, 12] and set(head.state_dict()) >= {"queue", "filled", "open"}
    kept = head.queue.clone()
    head.after_step(Context(step=4, max_steps=4))  # without a batch nothing happens
    assert torch.equal(head.queue, kept)
    with pytest.raises(ValueError, match="leaves -1 of 40 candidates"):
        EdgeMatch(SPEC, queue=40)


def test_learning_tells_true_edges_from_others() -> None:
    model = build_model(resolve(["recipe=gpt_gnn", "preset=demo", "encoder.dropout=0", "encoder.width=16"]))
    graph, losses = model.modality, []
    batch = graph.collate([graph.read(r) for r in graph.demo("train")[:8]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(24):
        ctx = Context(step=step, max_steps=1000, generator=torch.Generator().manual_seed(step))
        out = model(batch, ctx)
        optimizer.zero_grad()
        out["loss"].backward()
        optimizer.step()
        model.after_step(ctx)
        losses.append((float(out["edges"]), float(out["main"])))
    early, late = torch.tensor(losses[:5]).mean(0), torch.tensor(losses[-5:]).mean(0)
    assert (late < 0.9 * early).all()
