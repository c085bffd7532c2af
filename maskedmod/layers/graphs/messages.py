"""Sums over the neighbours of nodes as sparse matrix products: no tensor of edges x width is ever made."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Incoming:
    """The edges that end in some nodes, sorted by them: a sparse matrix of one row per such node and one column per node.

    ``source`` and ``row`` int64 ``[E]``: node where an edge begins and the row of its end, rising. ``start`` int64
    ``[rows + 1]``: first edge of every row. ``nodes``: number of columns. ``order`` int64 ``[E]``: place of an edge in the list
    it came from, for its attributes.
    """

    source: Tensor
    row: Tensor
    start: Tensor
    nodes: int
    order: Tensor

    @property
    def rows(self) -> int:
        return len(self.start) - 1

    @cached_property
    def backward(self) -> tuple[Tensor, Tensor, Tensor]:
        """The transposed matrix: edges in the order of their source, first one of every source, row of every edge."""
        order = self.source.argsort(stable=True)
        return order, _starts(self.source, self.nodes), self.row[order]

    def degree(self) -> Tensor:
        """Number of edges that end in every row, int64 ``[rows]``."""
        return self.start.diff()

    def per_head(self, heads: int, shared: bool) -> tuple[Incoming, Tensor]:
        """The same for ``heads`` weights per edge as one matrix, and the places of its entries in weights ``[E, heads]`` laid out
        flat. ``shared``: all heads read column ``source``, and head h sums into row ``h * rows + r``; else it reads column
        ``source * heads + h`` and sums into row ``r * heads + h``."""
        head = torch.arange(heads, device=self.source.device)
        edge = torch.arange(len(self.source), device=self.source.device)
        degree = self.degree()
        if shared:
            edge, head = edge.repeat(heads), head.repeat_interleave(len(edge))
            row, source, nodes = head * self.rows + self.row[edge], self.source[edge], self.nodes
            degree = degree.repeat(heads)
        else:
            begin, size = self.start[:-1][self.row], degree[self.row]
            to = (begin * (heads - 1) + edge)[:, None] + head * size[:, None]
            place = torch.empty(to.numel(), dtype=torch.long, device=to.device)
            place[to.flatten()] = torch.arange(to.numel(), device=to.device)
            edge, head = place // heads, place % heads
            row, source, nodes = self.row[edge] * heads + head, self.source[edge] * heads + head, self.nodes * heads
            degree = degree.repeat_interleave(heads)
        start = torch.zeros(len(degree) + 1, dtype=torch.long, device=degree.device)
        start[1:] = degree.cumsum(0)
        return Incoming(source, row, start, nodes, self.order[edge]), edge * heads + head


def incoming(edge_index: Tensor, nodes: int, rows: Tensor | None = None) -> Incoming:
    """Of edges int64 ``[2, E]`` (source, target) among ``nodes`` nodes those that end in ``rows`` (int64; None: all)."""
    source, target = edge_index
    order = torch.arange(len(source), device=source.device)
    count = nodes
    if rows is not None:
        count = len(rows)
        number = torch.full((nodes,), -1, device=source.device).index_copy(0, rows, torch.arange(count, device=source.device))
        target = number[target]
        order = (target >= 0).nonzero()[:, 0]
        source, target = source[order], target[order]
    by_target = target.argsort(stable=True)
    return Incoming(source[by_target], target[by_target], _starts(target, count), nodes, order[by_target])


def sparse_rows(row: Tensor, column: Tensor, rows: int, columns: int) -> Incoming:
    """Entries of a sparse ``[rows, columns]`` matrix, sorted by row: its products with dense matrices are the same sums."""
    return Incoming(column, row, _starts(row, rows), columns, torch.arange(len(row), device=row.device))


def _starts(number: Tensor, count: int) -> Tensor:
    start = torch.zeros(count + 1, dtype=torch.long, device=number.device)
    start[1:] = torch.bincount(number, minlength=count).cumsum(0)
    return start


def neighbour_sum(x: Tensor, edges: Incoming, weight: Tensor | None = None) -> Tensor:
    """``out[r] = sum over edges e of row r of weight[e] * x[source[e]]``: x ``[nodes, D]``, weight ``[E]`` (None = 1) ->
    ``[rows, D]`` float32. Derivatives of both are sparse products as well."""
    if weight is None:
        weight = torch.ones(len(edges.source), device=x.device)
    with torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False):
        out: Tensor = _NeighbourSum.apply(weight.float(), x.float(), edges)
    return out


class _NeighbourSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: Tensor, edges: Incoming) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(weight, x)
        if x.is_meta:  # sparse products have no form without values; this one has as many operations
            return (weight[None] @ x[edges.source]).expand(edges.rows, -1)
        return _csr(edges.start, edges.source, weight, (edges.rows, edges.nodes)) @ x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        edges: Incoming = ctx.edges
        weight, x = ctx.saved_tensors
        grad, to_weight, to_x = grads[0].contiguous(), None, None
        if ctx.needs_input_grad[0]:
            places = _csr(edges.start, edges.source, weight, (edges.rows, edges.nodes))
            to_weight = torch.sparse.sampled_addmm(places, grad, x.t(), beta=0.0).values()
        if ctx.needs_input_grad[1]:
            order, start, row = edges.backward
            to_x = _csr(start, row, weight[order], (edges.nodes, edges.rows)) @ grad
        return to_weight, to_x, None


def softmax(logits: Tensor, edges: Incoming) -> Tensor:
    """Softmax of ``[E, H]`` over the edges of every row."""
    index = edges.row[:, None].expand_as(logits)
    most = logits.new_full((edges.rows, logits.shape[1]), -torch.inf).scatter_reduce(0, index, logits.detach(), "amax")
    raised = (logits - most[edges.row]).exp()
    total = torch.zeros_like(most).index_add(0, edges.row, raised)
    return raised / total[edges.row]


def _csr(start: Tensor, column: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    _quiet()
    if values.device.type == "cpu":  # the width of index that the sparse products of the CPU are fast with
        start, column = start.int(), column.int()
    return torch.sparse_csr_tensor(start, column, values, shape, check_invariants=False)


@lru_cache(maxsize=1)
def _quiet() -> None:
    """torch says once per process that its CSR tensors are young."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor(torch.tensor([0, 0]), torch.tensor([], dtype=torch.long), torch.tensor([]), (1, 1))
