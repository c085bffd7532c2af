"""A layer of a graph convolutional network."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from maskedmod.layers.graphs.messages import Incoming, neighbour_sum
from maskedmod.layers.graphs.parts import (
    Activation,
    NodeNorm,
    NodeRows,
    dropout,
    make_activation,
    make_node_norm,
    make_shortcut,
    projected,
)
from maskedmod.layers.linear import linear

Bias = Literal["after", "scaled"]


class GcnLayer(nn.Module):
    """``h_i = sum_j W x_j / sqrt(d_i d_j) + b`` over edges j -> i, d the number of edges that end in a node; ``[n, inputs]`` ->
    ``[n, outputs]``; then residual, norm, activation.

    ``bias=scaled``: ``h_i = (W sum_j x_j / sqrt(o_j) + b) / sqrt(d_i)``, o the number of edges that leave a node: the bias is
    divided with the sum (GraphMAE's released code). It needs the edges of all nodes.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        dropout: float = 0.0,
        norm: NodeNorm = "none",
        activation: Activation = "none",
        residual: bool = False,
        bias: Bias = "after",
    ) -> None:
        super().__init__()
        self.dropout, self.scaled = dropout, bias == "scaled"
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(outputs, inputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.shortcut = make_shortcut(inputs, outputs, residual)
        self.norm, self.activation = make_node_norm(norm, outputs), make_activation(activation)

    def forward(self, x: Tensor | NodeRows, edges: Incoming) -> Tensor:
        share = edges.degree().clamp(min=1).float().rsqrt()
        begin = share
        if self.scaled:
            begin = torch.bincount(edges.source, minlength=edges.nodes).clamp(min=1).float().rsqrt()
        if self.shortcut is None:
            mapped = projected(x, self.weight, self.dropout, self.training)
        else:
            x = dropout(x.dense() if isinstance(x, NodeRows) else x, self.dropout, self.training)
            mapped = linear(x, self.weight)
        out = neighbour_sum(mapped, edges, begin[edges.source] * share[edges.row])
        out = out + (self.bias * share[:, None] if self.scaled else self.bias)
        if self.shortcut is not None:
            assert isinstance(x, Tensor)
            out = out + self.shortcut(x)
        return self.activation(self.norm(out))
