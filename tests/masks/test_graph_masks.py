"""Masks of nodes and edges of graphs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from maskedmod.core.apply import apply
from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.mask_set import IGNORED, KEPT, MASKED, PREDICT, RANDOM, VISIBLE
from maskedmod.core.modality import Modality
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step, View
from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.layers.graphs.hidden_edges import EdgeMask
from maskedmod.masks.edges import Directions, Edges
from maskedmod.masks.nodes import Nodes
from maskedmod.masks.paths import Paths
from maskedmod.masks.random import Random
from maskedmod.masks.subgraphs import Subgraphs
from maskedmod.sequences.packing import positions
from maskedmod.targets.hidden_degrees import HiddenDegrees

SPEC = Spec(values=3, axes=1)


def context(seed: int = 0) -> Context:
    return Context(generator=torch.Generator().manual_seed(seed))


def graphs(sizes: tuple[int, ...] = (40, 25, 60), loops: bool = True) -> Tokens:
    """Graphs with edges in both directions, and loops; the last node of each has no other edge."""
    draw = torch.Generator().manual_seed(sum(sizes))
    cu = torch.tensor([0, *sizes]).cumsum(0).to(torch.int32)
    parts = []
    for begin, size in zip(cu[:-1].tolist(), sizes, strict=True):
        edges = torch.randint(size - 1, (2, 3 * size), generator=draw)
        edges = torch.unique(edges[:, edges[0] < edges[1]], dim=1)
        own = torch.arange(size).expand(2, -1)
        parts.append(begin + torch.cat([edges, edges.flip(0), own] if loops else [edges, edges.flip(0)], dim=1))
    layout = Layout(cu_seqlens=cu, max_seqlen=max(sizes))
    values = torch.arange(int(cu[-1])).float()[:, None].expand(-1, 3)
    return Tokens(values, positions(layout, len(values)), layout, relation=Relation(torch.cat(parts, dim=1)))


def edges_of(tokens: Tokens) -> Tensor:
    assert tokens.relation is not None
    return tokens.relation.edge_index


@pytest.mark.parametrize(("ratio", "replace"), [(0.5, 0.0), (0.5, 0.05), (0.75, 0.15), (0.3, 1.0)])
def test_nodes_are_counted_as_the_released_code_does(ratio: float, replace: float) -> None:
    tokens = graphs()
    mask = Nodes(SPEC, ratio, replace)(tokens, context())
    hidden = int(ratio * len(tokens.values))
    assert mask.code is not None and len(mask.targets) == hidden and int(mask.hidden.sum()) == hidden
    counts = {code: int((mask.code == code).sum()) for code in (MASKED, RANDOM, KEPT)}
    assert counts[MASKED] == int((1 - replace) * hidden) and counts[RANDOM] == int(replace * hidden)
    assert sum(counts.values()) == hidden
    seen = apply(tokens, mask, "corrupt")
    changed = (seen.tokens.values != tokens.values).any(1)
    assert not changed[mask.code != RANDOM].any() and seen.hidden is not None
    assert torch.equal(seen.hidden, mask.code == MASKED)
    assert torch.isin(seen.tokens.values, tokens.values).all()


def test_nodes_draw_anew_and_only_where_they_may() -> None:
    tokens = graphs()
    one, same, other = (Nodes(SPEC)(tokens, context(seed)).role for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    some = torch.arange(len(tokens.values)) < 30
    mask = Nodes(SPEC, 0.5)(Tokens(tokens.values, tokens.pos, tokens.layout, some), context())
    assert int(mask.hidden.sum()) == 15 and not mask.hidden[30:].any()


@pytest.mark.parametrize("mask", [Edges(SPEC, 0.7), Edges(SPEC, 0.2, negatives=2), Paths(SPEC, 0.3), Paths(SPEC, 1.0, length=1)])
def test_hidden_edges_are_hidden_in_both_directions(mask: Mask) -> None:
    tokens = graphs()
    made = mask(tokens, context())
    assert isinstance(made, EdgeMask) and made.kept is not None and made.pairs is not None and made.joined is not None
    source, target = edges_of(tokens)
    key, back = source * 1000 + target, target * 1000 + source
    hidden = ~made.kept
    assert hidden.any() and not hidden[source == target].any()
    assert torch.equal(torch.isin(key, back[hidden]), hidden)
    low, high = made.pairs
    assert (low < high).all()
    listed = low * 1000 + high
    assert torch.equal(listed[made.joined].sort().values, key[hidden & (source < target)].sort().values)
    assert not torch.isin(listed[~made.joined], key).any(), "negatives are no edges"
    segment = tokens.layout.segments()
    assert torch.equal(segment[low], segment[high])
    seen = apply(tokens, made, "full").tokens.relation
    assert seen is not None and torch.equal(seen.kept, made.kept)  # type: ignore[arg-type]


def test_number_of_hidden_edges() -> None:
    tokens = graphs(loops=False)
    pairs = edges_of(tokens).shape[1] // 2
    made = Edges(SPEC, 0.7, negatives=2)(tokens, context())
    assert made.kept is not None and made.joined is not None
    assert int((~made.kept).sum()) == 2 * int(0.7 * pairs) and int(made.joined.sum()) == int(0.7 * pairs)
    assert int((~made.joined).sum()) == 2 * int(0.7 * pairs)


def test_a_complete_graph_has_no_negatives() -> None:
    low, high = torch.triu_indices(6, 6, 1)
    edges = torch.stack([torch.cat([low, high]), torch.cat([high, low])])
    layout = Layout(cu_seqlens=torch.tensor([0, 6], dtype=torch.int32), max_seqlen=6)
    tokens = Tokens(torch.zeros(6, 3), torch.zeros(6, 1), layout, relation=Relation(edges))
    made = Edges(SPEC, 0.5)(tokens, context())
    assert made.joined is not None and made.joined.all() and len(made.joined) == 7


def test_walks_go_along_edges() -> None:
    """A path hides edges that hang together: on a line of nodes a walk from one node reaches no further than its length."""
    nodes = 50
    line = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
    layout = Layout(cu_seqlens=torch.tensor([0, nodes], dtype=torch.int32), max_seqlen=nodes)
    relation = Relation(torch.cat([line, line.flip(0)], dim=1))
    tokens = Tokens(torch.zeros(nodes, 3), torch.zeros(nodes, 1), layout, relation=relation)
    for seed in range(20):
        made = Paths(SPEC, 1 / nodes, length=3)(tokens, context(seed))
        assert made.pairs is not None and made.joined is not None
        low = made.pairs[0, made.joined].sort().values
        assert 1 <= len(low) <= 3 and (low.diff() == 1).all()


@pytest.mark.parametrize("hops", [0, 1, 2])
def test_subgraphs_hide_neighbourhoods(hops: int) -> None:
    tokens = graphs(sizes=(400, 200))
    mask = Subgraphs(SPEC, 0.4, hops)(tokens, context())
    segment = tokens.layout.segments()
    assert torch.bincount(segment[mask.hidden]).tolist() == [160, 80]
    source, target = edges_of(tokens)
    away = source != target
    together = float((mask.hidden[source[away]] & mask.hidden[target[away]]).float().mean())
    assert together > 0.2 if hops else together < 0.2, "two ends of an edge by chance: 0.16"


@pytest.mark.parametrize("block", [Edges, Paths, Subgraphs])
def test_tokens_without_edges(block: type[Mask]) -> None:
    tokens = graphs()
    bare = Tokens(tokens.values, tokens.pos, tokens.layout)
    with pytest.raises(ValueError, match="edges"):
        block(SPEC)(bare, context())  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("block", "wrong"),
    [
        (Nodes, {"ratio": 1.0}),
        (Nodes, {"replace": 1.5}),
        (Edges, {"ratio": 0.0}),
        (Edges, {"negatives": 0}),
        (Paths, {"length": 0}),
        (Subgraphs, {"hops": -1}),
    ],
)
def test_settings_out_of_range(block: type[Mask], wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"mask.{next(iter(wrong))}"):
        block(SPEC, **wrong)  # type: ignore[call-arg]


def test_pairs_drawn_among_what_is_left_may_be_hidden_ones() -> None:
    """In either order; beside the whole graph no hidden pair is drawn."""
    rows = graphs((12,), loops=False)
    hidden_again, turned = 0, 0
    for seed in range(20):
        mask = Edges(SPEC, ratio=0.7, among="remaining")(rows, context(seed))
        assert isinstance(mask, EdgeMask) and mask.pairs is not None and mask.joined is not None and mask.kept is not None
        others = mask.pairs[:, ~mask.joined]
        key = others.amin(0) * 12 + others.amax(0)
        positive = mask.pairs[:, mask.joined]
        hidden_again += int(torch.isin(key, positive[0] * 12 + positive[1]).sum())
        turned += int((others[0] > others[1]).sum())
        assert rows.relation is not None
        left = rows.relation.edge_index[:, mask.kept]
        assert not torch.isin(key, left[0] * 12 + left[1]).any()
    assert hidden_again > 0 and turned > 0


def test_the_same_places_of_all_graphs() -> None:
    """As many as are asked for of the longest; nothing is asked for of a graph that keeps nothing."""
    rows = graphs((10, 3, 6), loops=False)
    lost = 0
    for seed in range(20):
        mask = Random(SPEC, ratio=0.5, count="mask_int", scope="batch")(rows, context(seed))
        first, second, third = mask.role.split((10, 3, 6))
        assert (first != VISIBLE).sum() == 5 and torch.equal(first[:6] != VISIBLE, third != VISIBLE)
        gone = bool((second != VISIBLE).all())
        assert bool((second == IGNORED).all()) == gone and torch.equal(mask.targets, (mask.role == PREDICT).nonzero()[:, 0])
        lost += gone
    assert lost > 0


@pytest.mark.parametrize(
    "mask", [Edges(SPEC, ratio=0.6, directions="apart"), Paths(SPEC, ratio=0.6, start="edges", directions="apart")]
)
def test_directions_of_edges_that_are_hidden_apart(mask: Mask) -> None:
    """What has one direction left is put back in both; what is asked for are single directions, none a loop."""
    rows = graphs()
    made = mask(rows, context(3))
    assert isinstance(made, EdgeMask) and made.pairs is not None and made.joined is not None and made.kept is not None
    assert rows.relation is not None and made.directed
    n, (source, target) = len(rows.values), rows.relation.edge_index
    asked = made.pairs[0, made.joined] * n + made.pairs[1, made.joined]
    assert len(asked.unique()) == len(asked) and torch.isin(asked, source * n + target).all()
    here, back = torch.isin(source * n + target, asked), torch.isin(target * n + source, asked)
    assert torch.equal(~made.kept, here & back) and not here[source == target].any() and made.kept[source == target].all()
    others = made.pairs[:, ~made.joined]
    assert others.shape[1] > 0 and not torch.isin(others[0] * n + others[1], source * n + target).any()


@pytest.mark.parametrize("directions", ["both", "apart"])
def test_degrees_that_are_hidden(directions: Directions) -> None:
    rows = graphs((12, 5))
    mask = Edges(SPEC, ratio=0.5, directions=directions)(rows, context())
    assert isinstance(mask, EdgeMask) and mask.pairs is not None and mask.joined is not None and rows.relation is not None
    step = Step(Modality, {}, context(), {"main": View(rows, rows, mask, Latent(rows.values))})  # type: ignore[arg-type]
    found = HiddenDegrees(SPEC)(step, "main", mask.where("all"))[:, 0]
    ends = mask.pairs[:, mask.joined]
    wanted = torch.zeros(len(rows.values))
    for one, other in ends.t().tolist():
        wanted[other] += 1
        wanted[one] += directions == "both"
    assert torch.equal(found, wanted) and found.sum() > 0
