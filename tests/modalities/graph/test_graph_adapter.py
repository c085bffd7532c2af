"""Graphs as packed batches: what a batch holds, parts of large graphs, pictures, features without learning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from maskedmod.modalities.graph.demo import WORDS
from maskedmod.modalities.graph.picture import MOST, nearest
from maskedmod.modalities.graph.sampling import induced, reached, seeds_of

from maskedmod.core.context import Context
from maskedmod.core.modality import BadSample, Modality, Record
from maskedmod.data.graphs.graph import Graph, clean
from maskedmod.data.loader import Loader
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_modality
from maskedmod.testing import check_modality


def graph(**arguments: Any) -> Modality:
    return build_modality({"modality": {"graph": arguments}})


def ring(n: int, width: int = 3, seed: int = 0) -> Graph:
    """A ring with a chord from every node."""
    own = np.arange(n)
    ends = np.concatenate([np.stack([own, (own + 1) % n]), np.stack([own, (own * 7 + 3) % n])], axis=1)
    return clean(np.random.default_rng(seed).random((n, width), np.float32), ends)


@pytest.mark.parametrize("arguments", [{}, {"self_loops": True, "normalize": "row"}, {"features": WORDS, "neighbours": (2, 2)}])
def test_contract(arguments: dict[str, Any]) -> None:
    check_modality(graph(**arguments))


def test_a_batch_is_graphs_one_after_another() -> None:
    modality, records = graph(self_loops=True), [Record(ring(n), str(n)) for n in (5, 9)]
    tokens = modality.tokenize(modality.collate([modality.read(r) for r in records]))["main"]
    assert tokens.relation is not None and tokens.layout.cu_seqlens is not None
    assert tokens.layout.cu_seqlens.tolist() == [0, 5, 14] and tokens.pos[:, 0].tolist() == [*range(5), *range(9)]
    source, target = tokens.relation.edge_index
    assert bool((tokens.layout.segments()[source] == tokens.layout.segments()[target]).all())
    assert bool((target.diff() >= 0).all()), "edges are sorted by target"
    assert int((source == target).sum()) == 14


def test_whole_graph_training_reuses_its_tensors() -> None:
    modality, record = graph(self_loops=True, normalize="row"), Record(ring(30), "g")
    first, second = (modality.collate([modality.read(record)]) for _ in range(2))
    assert first["edge_index"].data_ptr() == second["edge_index"].data_ptr()
    assert torch.allclose(first["nodes"].sum(1), torch.ones(30))


def test_graphs_of_other_widths_are_bad_samples() -> None:
    modality = graph(features=4)
    with pytest.raises(BadSample, match="has 3 values per node, expected 4"):
        modality.read(Record(ring(5), "g"))
    with pytest.raises(UserError, match="give modality.features="):
        _ = graph().spec


@pytest.mark.parametrize("arguments", [{"features": 0}, {"neighbours": ()}, {"neighbours": (0,)}, {"seed_nodes": 0}])
def test_settings_that_make_no_sense(arguments: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"modality.{next(iter(arguments))}"):
        graph(**arguments)


def test_parts_of_a_graph_are_induced_and_bounded() -> None:
    whole, draw = ring(200), np.random.default_rng(0)
    seeds = np.array([3, 50, 120])
    nodes = reached(whole, seeds, (2, 1), draw)
    assert set(seeds.tolist()) <= set(nodes.tolist()) and len(nodes) <= 3 + 6 + 6
    joined = {(a, b) for a, b in whole.edges.T.tolist()}
    one_step = {a for a, b in joined if b in set(seeds.tolist())}
    assert set(reached(whole, seeds, (99,), draw).tolist()) == one_step | set(seeds.tolist())
    part = induced(whole, nodes)
    found = {(int(nodes[a]), int(nodes[b])) for a, b in part.edges.T.tolist()}
    assert found == {(a, b) for a, b in joined if a in set(nodes.tolist()) and b in set(nodes.tolist())}
    assert np.array_equal(part.nodes, whole.nodes[nodes]) and bool((np.diff(part.edges[1]) >= 0).all())


def test_sampled_neighbours_are_spread_evenly() -> None:
    star = clean(np.ones((11, 1), np.float32), np.stack([np.zeros(10, int), np.arange(1, 11)]))
    counts = np.zeros(11)
    for seed in range(600):
        counts[reached(star, np.array([0]), (3,), np.random.default_rng(seed))] += 1
    assert counts[0] == 600 and counts[1:].sum() == 1800 and counts[1:].min() > 140 and counts[1:].max() < 220


def test_without_a_draw_the_parts_make_up_the_graph() -> None:
    parts = [seeds_of(103, i, 4, None) for i in range(4)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(103))
    drawn = seeds_of(103, 0, 4, np.random.default_rng(5))
    assert len(drawn) == len(parts[0]) and drawn.tolist() != parts[0].tolist()


def test_training_on_parts_goes_on_where_it_was() -> None:
    modality = graph(neighbours=(3, 3), seed_nodes=20)
    records = modality.divide(Record(ring(100), "g", [0] * 100, {"parts": {}}))
    assert len(records) == 5 and records[0].label is None and records[2].extra["clip"] == "g"
    batches = Loader(records, modality, 2, seed=3).batches()
    through = [next(batches)["nodes"] for _ in range(6)]
    again = Loader(records, modality, 2, seed=3).batches(start_step=4)
    assert torch.equal(next(again)["nodes"], through[4]) and torch.equal(next(again)["nodes"], through[5])
    assert len({x.sum().item() for x in through}) == 6, "every step has parts of its own"
    held = [replace(records[1], extra={**records[1].extra, "seed": 9, "held_out": True}) for _ in range(2)]
    assert np.array_equal(modality.read(held[0]).nodes, modality.read(held[1]).nodes)


def test_raw_features_tell_sizes_and_degrees() -> None:
    modality = graph(features=3)
    batch = modality.collate([modality.read(Record(ring(n), str(n))) for n in (6, 40)])
    found = modality.raw_features(modality.prepare(batch, Context(training=False)))
    assert found.shape == (2, 2 * 3 + 4)
    assert torch.allclose(found[:, 6].exp(), torch.tensor([6.0, 40.0]))
    edges = torch.tensor([ring(6).edges.shape[1], ring(40).edges.shape[1]])
    assert torch.allclose(found[:, 7].exp() - 1, edges.float(), rtol=1e-4)
    assert torch.allclose(found[:, 8], edges / torch.tensor([6.0, 40.0]))


def test_pictures_show_hidden_nodes_and_cut_large_graphs() -> None:
    modality = graph(features=3)
    tokens = modality.tokenize(modality.collate([modality.read(Record(ring(n), str(n))) for n in (8, 300)]))["main"]
    small, large = modality.draw(tokens.values, tokens)
    assert small.caption == "8 nodes" and large.caption == f"300 nodes, {MOST} of them drawn"
    hidden = torch.zeros(308, dtype=torch.bool)
    hidden[0] = True
    masked = modality.draw(tokens.values, tokens, hidden)
    assert not np.array_equal(masked[0].image, small.image) and np.array_equal(masked[1].image, large.image)
    scaled = modality.draw(tokens.values * 5, tokens)
    assert np.array_equal(scaled[0].image, small.image), "the size of values has no colour"


def test_nearest_nodes_start_from_the_hub() -> None:
    ends = np.array([(0, i) for i in range(1, 10)] + [(i, i + 1) for i in range(10, 199)]).T
    edges = clean(np.ones((200, 1), np.float32), ends).edges
    found = nearest(200, edges)
    assert len(found) == MOST and found[:10] == list(range(10))


def test_demo_has_a_real_graph_and_labels_of_nodes() -> None:
    records = graph().demo("val")
    club = records[-1]
    assert club.key == "demo karate club" and len(club.data) == 34 and club.data.edges.shape[1] == 2 * 78
    assert sum(club.extra["token_labels"]) == 17 and all(len(r.extra["token_labels"]) == len(r.data) for r in records)
    assert {r.label for r in records} == {2, 3, 4}


def test_objects_of_networkx_are_embedded_as_one_graph() -> None:
    import networkx as nx

    import maskedmod

    model = maskedmod.create("graph_mae", "encoder.width=16", "encoder.heads=2", preset="demo")
    club = nx.karate_club_graph()
    nx.set_node_attributes(club, {i: [float(i == k) for k in range(WORDS)] for i in club}, "x")
    assert model.embed(club).shape == (1, 16) and model.embed([club, club], pool="sum").shape == (2, 16)
    assert model.embed(club, pool="none").shape == (1, 34, 16)
    assert torch.allclose(model.embed(club, pool="none")[0].amax(0), model.embed(club, pool="max")[0])
    picture = model.reconstruct(club, ratio=0.5)
    assert int(picture.hidden.sum()) == 17 and picture.predicted is not None and picture.picture().size[0] > 100


def test_a_part_knows_the_nodes_it_was_drawn_around() -> None:
    modality = graph(neighbours=(1,), seed_nodes=20)
    parts = modality.divide(Record(ring(100), "g", None))
    batch = modality.collate([modality.read(part) for part in parts[:2]])
    assert batch["seeds"].sum() == 40 < len(batch["nodes"])
    whole = modality.collate([modality.read(Record(ring(30), "g"))])
    assert whole["seeds"].all() and "seeds" not in graph().collate([ring(5)])
