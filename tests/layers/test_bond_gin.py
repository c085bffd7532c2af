"""Message passing over bonds against a plain loop; what an atom is represented by."""

from __future__ import annotations

import pytest
import torch
from maskedmod.modalities.molecular_graph import MolecularGraph

from maskedmod.core.apply import Seen
from maskedmod.core.modality import Record
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Relation
from maskedmod.encoders.gin_bonds import GinBonds
from maskedmod.layers.categories import CategoryEmbedding
from maskedmod.layers.graphs.bond_gin import BondGin
from maskedmod.layers.graphs.bond_neighbours import Neighbourhood

MODALITY = MolecularGraph()


@pytest.mark.parametrize("sizes", [(4,), (4, 3), (5, 6, 2)])
@pytest.mark.parametrize("hides", [False, True])
def test_the_sum_is_that_of_a_loop(sizes: tuple[int, ...], hides: bool) -> None:
    """Any edges, also repeated ones and none; hidden bonds have the id after the self-loop's; edges not kept do not count."""
    nodes, width = 7, 5
    edges = torch.randint(0, nodes - 1, (2, 20))  # the last node has no neighbour
    attr = torch.stack([torch.randint(0, size, (20,)) for size in sizes], 1)
    attr[:3] = torch.tensor([sizes[0] + 1] + [0] * (len(sizes) - 1))
    kept = torch.rand(20) < 0.5 if hides else torch.ones(20, dtype=torch.bool)
    layer, x = BondGin(width, 3, sizes), torch.randn(nodes, width)
    found = layer(x, Neighbourhood.of(Relation(edges, attr, kept if hides else None), nodes, sizes))

    def bond(ids: list[int]) -> torch.Tensor:
        return sum((table[i] for table, i in zip(layer.tables, ids, strict=True)), torch.zeros(width))

    own = bond([sizes[0]] + [0] * (len(sizes) - 1))
    total = [x[v] + own for v in range(nodes)]
    for edge in kept.nonzero()[:, 0].tolist():
        source, target = edges[:, edge].tolist()
        total[target] = total[target] + x[source] + bond(attr[edge].tolist())
    assert torch.allclose(found, layer.mlp(torch.stack(total)), atol=1e-5)


def test_categories_add_up() -> None:
    embed = CategoryEmbedding((4, 3, 2), 6)
    ids = torch.tensor([[3, 2, 1], [0, 0, 0]])
    wanted = embed.tables[0][3] + embed.tables[1][2] + embed.tables[2][1]
    assert torch.allclose(embed(ids)[0], wanted)
    assert embed.hide(ids, torch.tensor([True, False])).tolist() == [[4, 0, 0], [0, 0, 0]]
    assert embed.hide(ids, None) is ids


@pytest.mark.parametrize("jump", ["last", "sum", "max", "concat"])
def test_jumps(jump: str) -> None:
    tokens = MODALITY.tokenize(MODALITY.collate([MODALITY.read(Record(s, s)) for s in ("CCO", "c1ccccc1N")]))["main"]
    encoder = GinBonds(MODALITY.spec, MODALITY.embedding, depth=3, width=8, jump=jump).eval()  # type: ignore[arg-type]
    latent = encoder(Seen(tokens), ["block.0", "block.1", "block.-1"])
    every = torch.stack([encoder.embed(tokens.values), *(latent.taps[f"block.{i}"] for i in ("0", "1", "-1"))])
    wanted = {"last": every[-1], "sum": every.sum(0), "max": every.amax(0), "concat": every.transpose(0, 1).flatten(1)}[jump]
    assert torch.allclose(latent.tokens, wanted, atol=1e-6) and encoder.width == latent.tokens.shape[1]
    with pytest.raises(ValueError, match="expected block.i"):
        encoder(Seen(tokens), ["attention.0"])


def test_what_it_cannot_encode_is_refused() -> None:
    with pytest.raises(ValueError, match="use molecular_graph"):
        GinBonds(Spec(values=4, axes=1), MODALITY.embedding)
    for wrong in ({"sees": "visible"}, {"depth": 0}):
        with pytest.raises(ValueError, match="encoder"):
            GinBonds(MODALITY.spec, MODALITY.embedding, **wrong)  # type: ignore[arg-type]
