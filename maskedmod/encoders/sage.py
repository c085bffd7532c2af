"""GraphSAGE over packed nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import nn

from maskedmod.core.apply import Sees
from maskedmod.core.spec import Spec
from maskedmod.layers.graphs.node_network import NodeNetwork
from maskedmod.layers.graphs.parts import Activation, NodeNorm
from maskedmod.layers.graphs.sage import SageLayer


class Sage(NodeNetwork):
    """GraphSAGE with the mean of the neighbours (Hamilton et al. 2017, algorithm 1) of ``depth`` layers, each followed by norm
    and activation.

    ``sees``: ``mask_token`` or ``corrupt`` put a learned vector at hidden nodes, ``full`` hides no node. ``dropout``: of every
    layer's input, or with ``dropout_of=outputs`` of what every layer but the last gives (S2GAE's code).
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
        dropout_of: Literal["inputs", "outputs"] = "inputs",
    ) -> None:
        inside, after = (dropout, 0.0) if dropout_of == "inputs" else (0.0, dropout)

        def layer(inputs: int, last: bool) -> SageLayer:
            return SageLayer(inputs, width, inside, norm, activation)

        super().__init__(spec, embedding, depth, width, sees, layer, drop_outputs=after)
