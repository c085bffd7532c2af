"""A layer of a graph convolutional network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskedmod.layers.graphs.messages import Incoming, neighbour_sum
from maskedmod.layers.graphs.parts import Activation, NodeNorm, NodeRows, make_activation, make_node_norm, projected


class GcnLayer(nn.Module):
    """``h_i = sum_j W x_j / sqrt(d_i d_j) + b`` over edges j -> i, d the number of edges that end in a node; ``[n, inputs]`` ->
    ``[n, outputs]``."""

    def __init__(
        self, inputs: int, outputs: int, dropout: float = 0.0, norm: NodeNorm = "none", activation: Activation = "none"
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(outputs, inputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.norm, self.activation = make_node_norm(norm, outputs), make_activation(activation)

    def forward(self, x: Tensor | NodeRows, edges: Incoming) -> Tensor:
        share = edges.degree().clamp(min=1).float().rsqrt()
        x = projected(x, self.weight, self.dropout, self.training)
        out = neighbour_sum(x, edges, share[edges.source] * share[edges.row])
        return self.activation(self.norm(out + self.bias))
