"""A layer of GraphSAGE."""

from __future__ import annotations

from torch import Tensor, nn

from maskedmod.layers.graphs.messages import Incoming, neighbour_sum
from maskedmod.layers.graphs.parts import Activation, NodeNorm, NodeRows, dropout, make_activation, make_node_norm
from maskedmod.layers.linear import Linear


class SageLayer(nn.Module):
    """``h_i = W (mean of x_j over edges j -> i) + b + V x_i``: ``[n, inputs]`` -> ``[n, outputs]``; no edge, no mean."""

    def __init__(
        self, inputs: int, outputs: int, dropout: float = 0.0, norm: NodeNorm = "none", activation: Activation = "none"
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.neighbours, self.own = Linear(inputs, outputs), Linear(inputs, outputs, bias=False)
        self.norm, self.activation = make_node_norm(norm, outputs), make_activation(activation)

    def forward(self, x: Tensor | NodeRows, edges: Incoming) -> Tensor:
        x = dropout(x.dense() if isinstance(x, NodeRows) else x, self.dropout, self.training)
        share = 1.0 / edges.degree().clamp(min=1).float()
        mean = neighbour_sum(x, edges, share[edges.row])
        return self.activation(self.norm(self.neighbours(mean) + self.own(x)))
