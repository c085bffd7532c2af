"""Attention over all nodes of a graph that knows how far they are apart (Graphormer, Ying et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskedmod.core.tokens import Layout, Relation
from maskedmod.errors import UserError
from maskedmod.layers.attention import Who
from maskedmod.layers.block import Block, BlockSettings, make_norm
from maskedmod.layers.graphs.messages import incoming, neighbour_sum
from maskedmod.layers.graphs.path_edges import PathEdges, edges_along
from maskedmod.layers.linear import Linear


class Centrality(nn.Module):
    """A vector for the number of edges that end in a node, ``most`` and more alike (Graphormer, eq. 5); with ``both`` another one
    for the number of those that leave it is added."""

    def __init__(self, width: int, most: int = 64, both: bool = False) -> None:
        super().__init__()
        if most < 0:
            raise ValueError(f"most_degree must be 0 or more, not {most}")
        self.most = most
        self.table = nn.Embedding(most + 1, width)
        nn.init.normal_(self.table.weight, std=0.02)
        self.leaving = nn.Embedding(most + 1, width) if both else None
        if self.leaving is not None:
            nn.init.normal_(self.leaving.weight, std=0.02)

    def forward(self, edge_index: Tensor, nodes: int) -> Tensor:
        """-> ``[nodes, width]``."""
        out: Tensor = self.table(torch.bincount(edge_index[1], minlength=nodes).clamp(max=self.most))
        if self.leaving is not None:
            out = out + self.leaving(torch.bincount(edge_index[0], minlength=nodes).clamp(max=self.most))
        return out


class GraphBlocks(nn.Module):
    """``depth`` Transformer blocks over the nodes of every graph, then a norm. A number for every head and length of path stands
    in the attention of all blocks (Graphormer, eq. 6); with ``edge_values`` also one of the edges along a shortest path, the
    first ``most_hops`` of them (eq. 7). ``interleave``: before every block the mean of the neighbours, mapped, is added.
    ``own``: false for blocks that are given the numbers of others."""

    def __init__(
        self,
        depth: int,
        width: int,
        heads: int,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        most_distance: int = 20,
        interleave: bool = False,
        eps: float = 1e-6,
        edge_values: int | None = None,
        most_hops: int = 20,
        own: bool = True,
    ) -> None:
        super().__init__()
        for name, most in (("most_distance", most_distance), ("most_hops", most_hops)):
            if most < 1:
                raise ValueError(f"{name} must be 1 or more, not {most}")
        settings = BlockSettings(width, heads, mlp_ratio, dropout=dropout, attention_dropout=dropout, eps=eps)
        self.most_distance = most_distance
        self.bias = self.along = None
        if own:
            self.bias = nn.Embedding(most_distance + 2, heads)
            nn.init.normal_(self.bias.weight, std=0.02)
            self.along = None if edge_values is None else PathEdges(edge_values, heads, most_hops)
        self.local = nn.ModuleList(Linear(width, width) for _ in range(depth)) if interleave else None
        self.blocks = nn.ModuleList(Block(settings, 0.0) for _ in range(depth))
        self.norm = make_norm("layer", width, settings.eps)

    def forward(
        self,
        x: Tensor,
        layout: Layout,
        relation: Relation,
        graphs: Layout,
        index: Tensor | None = None,
        like: GraphBlocks | None = None,
    ) -> Tensor:
        """x ``[n, width]`` in packed ``layout`` -> the same. Paths run along the edges of ``relation`` through all
        nodes of the packed ``graphs``; ``index`` int64 ``[n]``: those that x is of (None: all, ``layout`` is ``graphs`` then).
        ``like``: blocks whose numbers for pairs of nodes these have."""
        edge_index = relation.edge_index
        pairs = self if like is None else like
        rows, parts = [torch.zeros(0, dtype=torch.long, device=x.device)], [x[:0]]
        for some in alike(graphs):
            place, valid = places(layout, some)
            if valid.any():
                apart = path_lengths(edge_index, graphs, pairs.most_distance, some)
                along = pairs.of_edges(relation, graphs, apart, some)
                if index is not None:
                    apart = _between(apart, index[place], graphs, some)
                    along = None if along is None else _between(along, index[place], graphs, some)
                assert pairs.bias is not None
                bias = pairs.bias(apart) if along is None else pairs.bias(apart) + along
                parts.append(self._attend(x[place], valid, apart, bias)[valid])
                rows.append(place[valid])
        out: Tensor = self.norm(torch.cat(parts)[torch.cat(rows).argsort()])
        return out

    def of_edges(self, relation: Relation, graphs: Layout, apart: Tensor, some: Tensor) -> Tensor | None:
        """``[S, m, m, heads]`` of the edges between two nodes, None where they are not read. ValueError for edges without
        attributes."""
        if self.along is None:
            return None
        if relation.attr is None:
            raise ValueError("encoder.edge_values: these graphs have no attributes of edges")
        found, wanted = relation.attr.shape[-1], self.along.embed.in_features
        if found != wanted:
            raise ValueError(f"encoder.edge_values={wanted}: edges of these graphs have {found} values")
        path = edges_along(relation.edge_index, graphs, apart, some, self.along.most)
        out: Tensor = self.along(relation.attr, path, apart)
        return out

    def _attend(self, x: Tensor, valid: Tensor, apart: Tensor, bias: Tensor) -> Tensor:
        """x ``[S, m, width]``, valid ``[S, m]``, apart ``[S, m, m]``, bias ``[S, m, m, heads]``."""
        who = Who(allowed=valid[:, None, None, :], bias=bias.permute(0, 3, 1, 2))
        beside = ((apart == 1) & valid[:, None, :]).to(x.dtype)
        share = beside / beside.sum(2, keepdim=True).clamp(min=1)
        for i, block in enumerate(self.blocks):
            if self.local is not None:
                x = x + self.local[i](share @ x)
            x = block(x, who)
        return x


PAIRS = 2**20
"""Pairs of nodes, those of padding too, that are worked on at a time: graphs of middle size, or a large one alone."""

TOGETHER = 32
"""Graphs that are worked on at a time, at the most: they are sorted, and so are of about one size."""

LARGEST = 10_000
"""Nodes of a graph from which on the matrix of all pairs (400 MB for every head) is refused."""


def alike(graphs: Layout) -> tuple[Tensor, ...]:
    """Numbers of packed graphs, the small ones first, in parts of little padding. UserError for a graph that is too large."""
    assert graphs.cu_seqlens is not None
    lengths = graphs.cu_seqlens.diff()
    order = lengths.argsort(stable=True)
    sizes: list[int] = []
    for length in lengths[order].tolist():
        if length > LARGEST:
            raise UserError(
                f"a graph of {length} nodes is too large for attention between all of them (most: {LARGEST}): read it in parts, "
                "modality.neighbours=[10,10] modality.seed_nodes=128"
            )
        if sizes and (sizes[-1] + 1) * length**2 <= PAIRS and sizes[-1] < TOGETHER:
            sizes[-1] += 1
        else:
            sizes.append(1)
    return order.split(sizes)


def places(layout: Layout, some: Tensor) -> tuple[Tensor, Tensor]:
    """Of ``some`` packed sequences the token at every place of a dense batch, int64 ``[S, m]``, and where there is one, bool
    ``[S, m]``. Padding points at some token."""
    assert layout.cu_seqlens is not None
    cu = layout.cu_seqlens.long()
    lengths = cu.diff()[some]
    column = torch.arange(int(lengths.max()), device=cu.device)
    valid = column < lengths[:, None]
    return torch.where(valid, cu[some][:, None] + column, 0), valid


def path_lengths(edge_index: Tensor, graphs: Layout, most: int, some: Tensor) -> Tensor:
    """Number of edges on the shortest path between the nodes of ``some`` graphs, int64 ``[S, m, m]`` (row: where it ends);
    ``most + 1`` where it is longer than ``most``, where there is none, and at padding. A search by breadth, as sums
    over neighbours."""
    assert graphs.cu_seqlens is not None
    cu, segment = graphs.cu_seqlens.long(), graphs.segments()
    number = torch.full((len(cu) - 1,), -1, device=cu.device).index_copy(0, some, torch.arange(len(some), device=cu.device))
    edge_index = edge_index[:, number[segment[edge_index[0]]] >= 0]
    lengths = cu.diff()[some]
    longest = int(lengths.max())
    flat = number[segment[edge_index[0]]] * longest + edge_index - cu[segment[edge_index]]
    edges = incoming(flat, len(some) * longest)
    same = torch.arange(longest, device=cu.device) < lengths[:, None]
    reached = torch.diag_embed(same.float()).flatten(0, 1)  # from every node of its graph: [S * m, m]
    found = torch.where(reached > 0, 0, most + 1)
    for length in range(1, most + 1):
        new = (neighbour_sum(reached, edges) > 0) & (found > most)
        if not new.any():
            break
        found[new], reached = length, reached + new
    return found.unflatten(0, (len(some), longest))


def _between(apart: Tensor, nodes: Tensor, graphs: Layout, some: Tensor) -> Tensor:
    """Of what there is between all nodes ``[S, k, k, ...]`` that between ``nodes`` int64 ``[S, m]`` -> ``[S, m, m, ...]``."""
    assert graphs.cu_seqlens is not None
    local = (nodes - graphs.cu_seqlens.long()[some][:, None]).clamp(0, apart.shape[1] - 1)  # padding may lie elsewhere
    first = torch.arange(len(apart), device=apart.device)[:, None, None]
    return apart[first, local[:, :, None], local[:, None, :]]
