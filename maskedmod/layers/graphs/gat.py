"""Graph attention without tensors of edges x width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.layers.graphs.messages import Incoming, neighbour_sum, softmax
from maskedmod.layers.graphs.parts import (
    Activation,
    NodeNorm,
    NodeRows,
    dropout,
    make_activation,
    make_node_norm,
    make_shortcut,
)
from maskedmod.layers.linear import linear

Score = Literal["add", "dot"]


@dataclass(frozen=True)
class GatSettings:
    """What layers of a network share. ``slope``: of the LeakyReLU on attention logits. ``dropout``: of a layer's input.
    ``score``: of two nodes, see ``GatLayer``. ``same_width_residual``: false leaves the residual out where widths agree."""

    heads: int
    slope: float = 0.2
    dropout: float = 0.0
    attention_dropout: float = 0.0
    residual: bool = False
    norm: NodeNorm = "none"
    activation: Activation = "none"
    score: Score = "add"
    same_width_residual: bool = True


class GatLayer(nn.Module):
    """Attention over the edges that end in a node (Velickovic et al. 2018, eq. 1 to 5): ``[n, inputs]`` -> ``[rows, outputs]``.

    ``a_ij = softmax_j(LeakyReLU(s . W x_j + t . W x_i))`` per head; the heads' sums lie side by side; then bias, residual, norm,
    activation. ``sum_j a_ij (W x_j)`` is ``W (sum_j a_ij x_j)``: whichever takes fewer operations is computed, so that where few
    rows are asked for, few are projected. ``outputs`` must be divisible by the heads.
    ``score=dot``: ``a_ij = softmax_j(W x_j . W x_i / sqrt(width of a head))`` and no bias (DotGAT of GraphMAE's code); it makes
    a tensor of edges x width.
    """

    def __init__(self, inputs: int, outputs: int, settings: GatSettings) -> None:
        super().__init__()
        s = settings
        if s.heads < 1 or outputs % s.heads:
            raise ValueError(f"width {outputs} is not divisible by {s.heads} heads")
        self.settings = s
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.source = self.target = self.bias = None
        if s.score == "add":
            self.source = nn.Parameter(torch.empty(1, s.heads, outputs // s.heads))
            self.target = nn.Parameter(torch.empty(1, s.heads, outputs // s.heads))
            self.bias = nn.Parameter(torch.zeros(outputs))
        for parameter in (self.weight, self.source, self.target):
            if parameter is not None:
                nn.init.xavier_normal_(parameter, gain=math.sqrt(2.0))
        self.shortcut = make_shortcut(inputs, outputs, s.residual, s.same_width_residual)
        self.norm, self.activation = make_node_norm(s.norm, outputs), make_activation(s.activation)

    def forward(self, x: Tensor | NodeRows, edges: Incoming, rows: Tensor | None = None) -> Tensor:
        """``rows``: nodes that ``edges`` end in, where those are not all."""
        rate = self.settings.dropout
        if isinstance(x, NodeRows) and self.shortcut is None:
            out = self._project_first(x.project(self.weight, rate, self.training), edges, rows)
        else:
            x = dropout(x.dense() if isinstance(x, NodeRows) else x, rate, self.training)
            out = (
                self._sum_first(x, edges, rows)
                if self._few(x, edges)
                else self._project_first(linear(x, self.weight), edges, rows)
            )
            if self.shortcut is not None:
                out = out + self.shortcut(_of(x, rows))
        return self.activation(self.norm(out if self.bias is None else out + self.bias))

    def _few(self, x: Tensor, edges: Incoming) -> bool:
        """Whether projecting the sums takes fewer multiplications than summing the projections."""
        if self.settings.score == "dot":
            return False
        outputs, inputs = self.weight.shape
        sums = len(edges.source) * self.settings.heads * inputs + edges.rows * inputs * outputs
        return sums < len(x) * inputs * outputs + len(edges.source) * outputs

    def _project_first(self, projected: Tensor, edges: Incoming, rows: Tensor | None) -> Tensor:
        """From ``W x`` ``[n, outputs]``."""
        heads = self.settings.heads
        by_head = projected.unflatten(1, (heads, -1))
        many, place = edges.per_head(heads, shared=False)
        if self.source is None or self.target is None:
            logits = (by_head[edges.source] * _of(by_head, rows)[edges.row]).sum(-1) / math.sqrt(by_head.shape[-1])
        else:
            source, target = (by_head * self.source).sum(-1), (by_head * self.target).sum(-1)
            logits = self._logits(source, _of(target, rows), edges)
        weight = self._attention(logits, edges).flatten()[place]
        return neighbour_sum(projected.reshape(len(projected) * heads, -1), many, weight).reshape(edges.rows, -1)

    def _sum_first(self, x: Tensor, edges: Incoming, rows: Tensor | None) -> Tensor:
        """From ``x`` ``[n, inputs]``."""
        heads = self.settings.heads
        assert self.source is not None and self.target is not None
        by_head = self.weight.unflatten(0, (heads, -1))
        onto = torch.cat([torch.einsum("hdf,hd->hf", by_head, end[0]) for end in (self.source, self.target)])
        source, target = (x @ onto.t()).chunk(2, dim=1)
        many, place = edges.per_head(heads, shared=True)
        weight = self._attention(self._logits(source, _of(target, rows), edges), edges).flatten()[place]
        sums = neighbour_sum(x, many, weight).unflatten(0, (heads, edges.rows))
        return torch.cat([linear(of_head, by_head[h]) for h, of_head in enumerate(sums.unbind())], dim=1)

    def _logits(self, source: Tensor, target: Tensor, edges: Incoming) -> Tensor:
        """``[E, H]`` from those of nodes ``[n, H]`` and rows ``[rows, H]``."""
        return F.leaky_relu(source[edges.source] + target[edges.row], self.settings.slope)

    def _attention(self, logits: Tensor, edges: Incoming) -> Tensor:
        """Weights ``[E, H]``."""
        return dropout(softmax(logits, edges), self.settings.attention_dropout, self.training)


def _of(x: Tensor, rows: Tensor | None) -> Tensor:
    return x if rows is None else x[rows]
