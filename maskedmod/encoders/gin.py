"""Graph isomorphism network over packed nodes."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from maskedmod.core.apply import Sees
from maskedmod.core.spec import Spec
from maskedmod.layers.graphs.gin import GinLayer
from maskedmod.layers.graphs.node_network import NodeNetwork
from maskedmod.layers.graphs.parts import Activation, NodeNorm, SelfLoops


class Gin(NodeNetwork):
    """GIN (Xu et al. 2019, eq. 4.1): ``h = MLP((1 + eps) h + sum of the neighbours' h)``, norm, activation.

    ``sees``: ``mask_token`` or ``corrupt`` put a learned vector at hidden nodes (GraphMAE), ``full`` hides nothing.
    ``norm``: none, layer or batch, inside the MLP and after it, as GraphMAE has it (Hou et al. 2022, released code). ``dropout``:
    of every layer's input. ``learn_eps``: else eps is 0. ``residual``: a layer's input, mapped where its width differs, is added
    last. ``bare_end``: the last layer is its MLP alone (GraphMAE's released code where there is no norm). ``drop_edges``: share
    of the edges left out in training, self-loops ``kept``, or dropped as well and one ``added`` to every node.
    """

    def __init__(
        self,
        spec: Spec,
        embedding: Callable[[int], nn.Module],
        depth: int = 5,
        width: int = 300,
        sees: Sees = "corrupt",
        activation: Activation = "prelu",
        norm: NodeNorm = "batch",
        dropout: float = 0.0,
        learn_eps: bool = False,
        residual: bool = False,
        bare_end: bool = False,
        drop_edges: float = 0.0,
        self_loops: SelfLoops = "kept",
    ) -> None:
        def layer(inputs: int, last: bool) -> GinLayer:
            after: tuple[NodeNorm, Activation] = ("none", "none") if last and bare_end else (norm, activation)
            return GinLayer(inputs, width, width, activation, norm, dropout, learn_eps, *after, residual)

        super().__init__(spec, embedding, depth, width, sees, layer, drop_edges, self_loops)
