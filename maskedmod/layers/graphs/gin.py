"""A layer of a graph isomorphism network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskedmod.layers.graphs.messages import Incoming, neighbour_sum
from maskedmod.layers.graphs.parts import Activation, NodeNorm, NodeRows, dropout, make_activation, make_node_norm
from maskedmod.layers.linear import Linear


class GinLayer(nn.Module):
    """One sum over neighbours, its MLP ``Linear, norm, activation, Linear``, and what comes after it: ``[n, inputs]`` ->
    ``[rows, outputs]``."""

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        activation: Activation,
        norm: NodeNorm,
        dropout: float = 0.0,
        learn_eps: bool = False,
        norm_after: NodeNorm = "none",
        activation_after: Activation = "none",
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.eps = nn.Parameter(torch.zeros(1)) if learn_eps else None
        self.fc1, self.fc2 = Linear(inputs, hidden), Linear(hidden, outputs)
        self.norm, self.activation = make_node_norm(norm, hidden), make_activation(activation)
        self.norm_after, self.activation_after = make_node_norm(norm_after, outputs), make_activation(activation_after)

    def forward(self, x: Tensor | NodeRows, edges: Incoming, rows: Tensor | None = None) -> Tensor:
        """``rows``: nodes that ``edges`` end in, where those are not all."""
        x = dropout(x.dense() if isinstance(x, NodeRows) else x, self.dropout, self.training)
        own = x if rows is None else x[rows]
        if self.eps is not None:
            own = own * (1 + self.eps)
        hidden = self.activation(self.norm(self.fc1(own + neighbour_sum(x, edges))))
        return self.activation_after(self.norm_after(self.fc2(hidden)))
