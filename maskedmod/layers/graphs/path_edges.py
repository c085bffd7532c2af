"""What lies along the shortest path between two nodes (Graphormer, Ying et al. 2021, eq. 7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskedmod.core.tokens import Layout
from maskedmod.layers.linear import Linear


class PathEdges(nn.Module):
    """A number for every head and pair of nodes: the edges of a shortest path between them, each mapped to ``heads`` values and
    by a matrix for its place on the path, summed, over the length. Edges from number ``most`` on are not read, and longer paths
    divided by ``most`` (GMAE's released code, RinneSz/GMAE). Of several shortest paths the one whose first node
    is first. ``values``: width of the attributes of an edge. ``beyond``: stands at places where a path has ended or there is
    none; it is 0, or what a published file has, which never trained it (there, places count as far as the longest path of a
    batch; here always up to ``most``)."""

    def __init__(self, values: int, heads: int, most: int) -> None:
        super().__init__()
        self.most = most
        self.embed = Linear(values, heads, bias=False)
        self.beyond: Tensor
        self.register_buffer("beyond", torch.zeros(heads))
        self.places = nn.Parameter(torch.randn(most, heads, heads) * 0.02)

    def forward(self, attr: Tensor, path: Tensor, apart: Tensor) -> Tensor:
        """Attributes ``[E, values]``, ``path`` of ``edges_along``, ``apart`` of ``path_lengths`` -> ``[S, m, m, heads]``."""
        mapped: Tensor = self.embed(attr.float())
        ended = self.beyond.to(mapped.dtype)
        total = (ended @ self.places[path.shape[-1] :]).sum(0).expand(*apart.shape, -1)
        for place, edge in enumerate(path.unbind(-1)):
            total = total + (torch.cat([mapped, ended[None]]) @ self.places[place])[edge]  # -1 is the last row
        return total / apart.clamp(1, self.most)[..., None]


def edges_along(edge_index: Tensor, graphs: Layout, apart: Tensor, some: Tensor, most: int) -> Tensor:
    """Numbers of the first ``most`` edges of a shortest path from one node (row) to another (column) of ``some`` graphs, int64
    ``[S, m, m, <= most]``, -1 where it has ended or there is none. ``apart``: of ``path_lengths``, as far as most."""
    assert graphs.cu_seqlens is not None
    cu, segment = graphs.cu_seqlens.long(), graphs.segments()
    count, m = len(some), apart.shape[1]
    number = torch.full((len(cu) - 1,), -1, device=cu.device).index_copy(0, some, torch.arange(count, device=cu.device))
    inside = ((number[segment[edge_index[0]]] >= 0) & (edge_index[0] != edge_index[1])).nonzero()[:, 0]
    graph = number[segment[edge_index[0, inside]]]
    begin, end = edge_index[:, inside] - cu[segment[edge_index[:, inside]]]
    of = torch.full((count, m, m), -1, device=cu.device).index_put((graph, begin, end), inside)
    to = apart.transpose(1, 2)  # from row to column
    nearer = to[graph, begin] == to[graph, end] + 1  # [E, m]: a step along this edge comes closer to column
    step = torch.where(nearer, end[:, None], m)
    rows = (graph * m + begin)[:, None].expand_as(step)
    first = torch.full((count * m, m), m, device=cu.device).scatter_reduce(0, rows, step, "amin").view(count, m, m)
    return _followed(first, of, min(most, m - 1))


def _followed(first: Tensor, of: Tensor, most: int) -> Tensor:
    """Step after step. ``first`` ``[S, m, m]``: node after row on the way to column, m where there is none."""
    count, m = first.shape[:2]
    graph = torch.arange(count, device=first.device)[:, None, None]
    column = torch.arange(m, device=first.device).expand(count, m, m)
    here, found = column.transpose(1, 2), []
    for _ in range(most):
        after = torch.where(here == m, m, first[graph, here.clamp(max=m - 1), column])
        going = (after < m) & (here != column)
        edge = of[graph, here.clamp(max=m - 1), after.clamp(max=m - 1)]
        found.append(torch.where(going, edge, -1))
        here = torch.where(going, after, m)
    return torch.stack(found, dim=-1) if found else first.new_zeros(count, m, m, 0)
