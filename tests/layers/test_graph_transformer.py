"""Attention over graphs: paths against networkx, blocks against plain sums, hidden nodes unseen."""

from __future__ import annotations

from collections.abc import Callable

import networkx
import pytest
import torch
from torch import Tensor, nn

from maskedmod.core.apply import Seen, apply
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import packed_from_masked
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.encoders.graph_transformer import GraphTransformer
from maskedmod.errors import UserError
from maskedmod.layers.graphs.transformer import Centrality, GraphBlocks, alike, path_lengths, places

SIZES = (30, 1, 12)
WIDTH = 12


def graphs(seed: int = 0, edges: float = 1.5) -> tuple[Layout, Tensor]:
    """Three graphs of several parts, one of them a node alone, with edges in both directions, some twice."""
    made = torch.Generator().manual_seed(seed)
    cu = torch.tensor([0, *SIZES]).cumsum(0)
    parts = [start + torch.randint(n, (2, int(edges * n)), generator=made) for start, n in zip(cu.tolist(), SIZES, strict=False)]
    one = torch.cat([part[:, part[0] != part[1]] for part in parts], dim=1)
    return Layout(cu_seqlens=cu.int(), max_seqlen=max(SIZES)), torch.cat([one, one.flip(0)], dim=1)


@pytest.mark.parametrize("most", [1, 3, 20])
def test_paths_are_those_of_networkx(most: int) -> None:
    layout, edges = graphs()
    edges = edges[:, : edges.shape[1] // 2 + 3]  # most of them in one direction alone
    some = torch.tensor([2, 0, 1])
    found = path_lengths(edges, layout, most, some)[some.argsort()]
    whole = networkx.DiGraph()
    whole.add_nodes_from(range(sum(SIZES)))
    whole.add_edges_from(edges.T.tolist())
    expected = torch.full_like(found, most + 1)
    start = 0
    for i, n in enumerate(SIZES):
        for source, lengths in networkx.all_pairs_shortest_path_length(whole):
            for target, length in lengths.items():
                if start <= source < start + n and length <= most:
                    expected[i, target - start, source - start] = length
        start += n
    assert (found <= most).sum() > sum(SIZES)
    assert torch.equal(found, expected)


def by_hand(blocks: GraphBlocks, x: Tensor, apart: Tensor, near: Tensor) -> Tensor:
    """One graph, one block after another, from the formulas: apart int64 ``[n, n]``, near bool ``[n, n]``."""
    for i, block in enumerate(blocks.blocks):
        if blocks.local is not None:
            means = torch.stack([x[row].mean(0) if row.any() else torch.zeros_like(x[0]) for row in near])
            x = x + blocks.local[i](means)
        q, k, v = block.attn.qkv(block.norm1(x)).unflatten(-1, (3, block.attn.heads, -1)).unbind(1)
        scores = torch.einsum("nhd,mhd->hnm", q, k) * q.shape[-1] ** -0.5 + blocks.bias.weight[apart].permute(2, 0, 1)
        x = x + block.attn.proj(torch.einsum("hnm,mhd->nhd", scores.softmax(-1), v).flatten(1))
        x = x + block.mlp.fc2(nn.functional.gelu(block.mlp.fc1(block.norm2(x))))
    out: Tensor = blocks.norm(x)
    return out


@pytest.mark.parametrize("interleave", [False, True])
@pytest.mark.parametrize("part", [False, True])
@pytest.mark.parametrize("together", [1, 2, 16])
def test_blocks_are_their_formulas(monkeypatch: pytest.MonkeyPatch, interleave: bool, part: bool, together: int) -> None:
    monkeypatch.setattr("maskedmod.layers.graphs.transformer.TOGETHER", together)
    torch.manual_seed(0)
    layout, edges = graphs()
    blocks = GraphBlocks(2, 16, 2, most_distance=4, interleave=interleave).eval()
    nn.init.normal_(blocks.bias.weight)
    everything = torch.arange(len(SIZES))
    apart, (place, valid) = path_lengths(edges, layout, 4, everything), places(layout, everything)
    assert layout.cu_seqlens is not None
    kept = torch.rand(sum(SIZES)) < 0.5 if part else torch.ones(sum(SIZES), dtype=torch.bool)
    kept[0] = kept[31] = True
    counts = torch.tensor([int(x.sum()) for x in kept.split(SIZES)])
    seen = Layout(cu_seqlens=torch.cat([torch.zeros(1), counts.cumsum(0)]).int(), max_seqlen=max(SIZES))
    x = torch.randn(int(kept.sum()), 16)
    out = blocks(x, seen, Relation(edges), layout, kept.nonzero()[:, 0] if part else None)
    for i, (one, ours) in enumerate(zip(x.split(counts.tolist()), out.split(counts.tolist()), strict=True)):
        rows = kept[place[i][valid[i]]].nonzero()[:, 0]
        between = apart[i][rows[:, None], rows]
        if len(one):
            torch.testing.assert_close(ours, by_hand(blocks, one, between, between == 1), rtol=1e-5, atol=1e-5)


def network(mask: MaskSet | None = None, interleave: bool = False) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """A small network over two equal graphs, and what it gives: all nodes, or those that a mask left."""
    torch.manual_seed(0)
    made = GraphTransformer(
        Spec(values=WIDTH, axes=1), lambda width: nn.Linear(WIDTH, width), depth=2, width=16, heads=2, dropout=0.0,
        interleave=interleave, init="xavier",
    )  # fmt: skip
    n = SIZES[0]
    edges = graphs()[1]
    edges = edges[:, (edges < n).all(0)]
    layout = Layout(cu_seqlens=torch.tensor([0, n, 2 * n], dtype=torch.int32), max_seqlen=n)
    both = torch.cat([edges, edges + n], dim=1)

    def run(values: Tensor) -> Tensor:
        tokens = Tokens(values, torch.zeros(len(values), 1), layout, relation=Relation(both))
        latent = made(Seen(tokens) if mask is None else apply(tokens, mask, "visible"))
        assert latent.layout.cu_seqlens is not None and int(latent.layout.cu_seqlens[-1]) == len(latent.tokens)
        return latent.tokens

    return run, torch.randn(n, WIDTH).repeat(2, 1)


@pytest.mark.parametrize("interleave", [False, True])
def test_a_graph_transformer_looks_at_one_graph(interleave: bool) -> None:
    run, x = network(interleave=interleave)
    n = len(x) // 2
    first = run(x)
    torch.testing.assert_close(first[:n], first[n:])
    changed = run(torch.cat([x[:n], x[n:] + 1]))
    torch.testing.assert_close(changed[:n], first[:n])
    assert not torch.allclose(changed[n:], first[n:])


@pytest.mark.parametrize("interleave", [False, True])
def test_a_graph_transformer_does_not_see_hidden_nodes(interleave: bool) -> None:
    hidden = torch.rand(2 * SIZES[0], generator=torch.Generator().manual_seed(0)) < 0.6
    run, x = network(packed_from_masked(hidden), interleave)
    seen = run(x)
    assert len(seen) == int((~hidden).sum())
    torch.testing.assert_close(run(torch.where(hidden[:, None], x + 1, x)), seen)


def test_parts_hold_graphs_of_alike_size(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = torch.tensor([1000, *[10] * 15, 900, 30])
    layout = Layout(cu_seqlens=torch.cat([torch.zeros(1), sizes.cumsum(0)]).int(), max_seqlen=1000)
    parts = alike(layout)
    assert sorted(torch.cat(parts).tolist()) == list(range(18))
    assert [sizes[part].tolist() for part in parts] == [[10] * 15 + [30], [900], [1000]]
    monkeypatch.setattr("maskedmod.layers.graphs.transformer.LARGEST", 999)
    with pytest.raises(UserError, match=r"a graph of 1000 nodes is too large .* modality.neighbours=\[10,10\]"):
        alike(layout)


def test_settings() -> None:
    with pytest.raises(ValueError, match="most_degree must be 0 or more, not -1"):
        Centrality(8, -1)
    with pytest.raises(ValueError, match="most_distance must be 1 or more, not 0"):
        GraphBlocks(1, 8, 2, most_distance=0)
