"""A map of every node by itself, called like a graph layer."""

from __future__ import annotations

from torch import Tensor, nn

from maskedmod.layers.graphs.messages import Incoming
from maskedmod.layers.linear import Linear


class NodeMlp(nn.Module):
    """``Linear, PReLU, dropout, Linear`` on each node: ``[n, inputs]`` -> ``[rows, outputs]``; ``hidden`` 0: one linear map."""

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = Linear(inputs, hidden) if hidden else nn.Identity()
        self.activation = nn.PReLU() if hidden else nn.Identity()
        self.dropout = nn.Dropout(dropout if hidden else 0.0)
        self.fc2 = Linear(hidden or inputs, outputs)

    def forward(self, x: Tensor, edges: Incoming, rows: Tensor | None = None) -> Tensor:
        """``rows``: nodes that are asked for, None = all; edges are not read."""
        x = x if rows is None else x[rows]
        out: Tensor = self.fc2(self.dropout(self.activation(self.fc1(x))))
        return out
