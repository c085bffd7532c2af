"""A layer of a graph isomorphism network."""

from __future__ import annotations

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
)
from maskedmod.layers.linear import Linear


class GinLayer(nn.Module):
    """One sum over neighbours, its MLP ``Linear, norm, activation, Linear``, and what comes after it: ``[n, inputs]`` ->
    ``[rows, outputs]``. ``residual``: the layer's input is added last, after norm and activation."""

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
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.eps = nn.Parameter(torch.zeros(1)) if learn_eps else None
        self.fc1, self.fc2 = Linear(inputs, hidden), Linear(hidden, outputs)
        self.norm, self.activation = make_node_norm(norm, hidden), make_activation(activation)
        self.norm_after, self.activation_after = make_node_norm(norm_after, outputs), make_activation(activation_after)
        self.shortcut = make_shortcut(inputs, outputs, residual)

    def forward(self, x: Tensor | NodeRows, edges: Incoming, rows: Tensor | None = None) -> Tensor:
        """``rows``: nodes that ``edges`` end in, where those are not all."""
        x = dropout(x.dense() if isinstance(x, NodeRows) else x, self.dropout, self.training)
        given = own = x if rows is None else x[rows]
        if self.eps is not None:
            own = own * (1 + self.eps)
        hidden = self.activation(self.norm(self.fc1(own + neighbour_sum(x, edges))))
        out = self.activation_after(self.norm_after(self.fc2(hidden)))
        return out if self.shortcut is None else out + self.shortcut(given)
