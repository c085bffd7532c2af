"""What graph networks over packed nodes have in common: an input, and equal layers over the same edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from maskedmod.core.apply import Seen, Sees
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.latent import Latent
from maskedmod.core.spec import Spec
from maskedmod.layers.graphs.parts import NodeInput, edges_of, through


class NodeNetwork(Encoder):
    """``depth`` layers of ``width``; ``layer(n)`` makes one that reads rows of width n and is called with them and the edges.
    ``sees``: ``mask_token`` or ``corrupt`` put a learned vector at hidden nodes, ``full`` hides none."""

    def __init__(
        self,
        spec: Spec,
        embedding: Callable[[int], nn.Module],
        depth: int,
        width: int,
        sees: Sees,
        layer: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        if depth < 1 or width < 1:
            raise ValueError(f"depth {depth} and width {width} must be 1 or more")
        self.width, self.sees = width, sees
        self.input = NodeInput(spec, embedding, width, sees in ("mask_token", "corrupt"))
        self.layers = nn.ModuleList(layer(n) for n in [self.input.width] + [width] * (depth - 1))

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """Taps: ``block.i``, the output of layer i."""
        x, tapped = through(self.layers, self.input(seen), edges_of(seen.tokens), taps)
        return Latent(x, seen.tokens.layout, index=seen.index, taps=tapped)

    def units(self) -> list[nn.Module]:
        return list(self.layers)
