"""Attention over all nodes of a graph, with its structure beside it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskedmod.layers.attention import Who
from maskedmod.layers.block import Block, BlockSettings, make_norm
from maskedmod.layers.graph import Incoming, incoming, neighbour_sum
from maskedmod.layers.linear import Linear
from maskedmod.tokens import Layout


class Centrality(nn.Module):
    """A vector for the number of edges that end in a node, ``most`` and more alike (Ying et al. 2021, Graphormer, eq. 5)."""

    def __init__(self, width: int, most: int = 64) -> None:
        super().__init__()
        self.most = most
        self.table = nn.Embedding(most + 1, width)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, edge_index: Tensor, nodes: int) -> Tensor:
        """-> ``[nodes, width]``."""
        out: Tensor = self.table(torch.bincount(edge_index[1], minlength=nodes).clamp(max=self.most))
        return out


class GraphBlocks(nn.Module):
    """``depth`` times: the mean of the neighbours, mapped and added, then a Transformer block over all nodes of the graph; at the
    end a norm."""

    def __init__(self, depth: int, width: int, heads: int, mlp_ratio: float = 4.0, dropout: float = 0.0) -> None:
        super().__init__()
        settings = BlockSettings(width, heads, mlp_ratio, dropout=dropout, attention_dropout=dropout)
        self.local = nn.ModuleList(Linear(width, width) for _ in range(depth))
        self.blocks = nn.ModuleList(Block(settings, 0.0) for _ in range(depth))
        self.norm = make_norm("layer", width, settings.eps)

    def forward(self, x: Tensor, edges: Incoming, layout: Layout) -> Tensor:
        """``[n, width]`` -> the same."""
        who, share = Who.packed(layout), (1.0 / edges.degree().clamp(min=1).float())[edges.row]
        for local, block in zip(self.local, self.blocks, strict=True):
            x = block(x + local(neighbour_sum(x, edges, share)), who)
        return self.norm(x)


def among(edge_index: Tensor, rows: Tensor, nodes: int) -> Incoming:
    """Edges between ``rows`` (int64, of ``nodes`` nodes), which are numbered anew."""
    number = torch.full((nodes,), -1, device=rows.device).index_copy(0, rows, torch.arange(len(rows), device=rows.device))
    edges = number[edge_index]
    return incoming(edges[:, (edges >= 0).all(0)], len(rows))
