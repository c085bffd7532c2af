"""Graph convolutional network over packed nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import nn

from maskedmod.core.apply import Sees
from maskedmod.core.spec import Spec
from maskedmod.layers.graphs.gcn import Bias, GcnLayer
from maskedmod.layers.graphs.node_network import NodeNetwork
from maskedmod.layers.graphs.parts import Activation, NodeNorm, SelfLoops


class Gcn(NodeNetwork):
    """GCN (Kipf and Welling 2017, eq. 2) of ``depth`` layers, each followed by norm and activation; the last is ``out``
    wide (null: as the others).

    Nodes count themselves as neighbours where the data have self-loops (``modality.graph.self_loops``). ``sees``: ``mask_token``
    or ``corrupt`` put a learned vector at hidden nodes, ``full`` hides no node. ``dropout``: of every layer's input.
    ``dropout_of``: ``outputs``, of what every layer but the last gives, which is then what heads read of it (S2GAE's code).
    ``residual``: a layer's input, mapped where its width differs, is added before the norm. ``bias``: added after the sum, or
    ``scaled`` with it by the node's degree, sources being scaled by the edges that leave them (GraphMAE's released code).
    ``drop_edges``: share of the edges left out in training, self-loops ``kept``, or dropped as well and one ``added`` to every
    node.
    """

    def __init__(
        self,
        spec: Spec,
        embedding: Callable[[int], nn.Module],
        depth: int = 2,
        width: int = 512,
        sees: Sees = "corrupt",
        activation: Activation = "prelu",
        norm: NodeNorm = "none",
        dropout: float = 0.0,
        residual: bool = False,
        bias: Bias = "after",
        drop_edges: float = 0.0,
        self_loops: SelfLoops = "kept",
        dropout_of: Literal["inputs", "outputs"] = "inputs",
        out: int | None = None,
    ) -> None:
        inside, after = (dropout, 0.0) if dropout_of == "inputs" else (0.0, dropout)

        def layer(inputs: int, last: bool) -> GcnLayer:
            return GcnLayer(inputs, (out or width) if last else width, inside, norm, activation, residual, bias)

        super().__init__(spec, embedding, depth, width, sees, layer, drop_edges, self_loops, after, out)
