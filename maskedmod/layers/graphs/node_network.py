"""What graph networks over packed nodes have in common: an input, and equal layers over the same edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from maskedmod.core.apply import Seen, Sees
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.latent import Latent
from maskedmod.core.spec import Spec
from maskedmod.layers.graphs.parts import NodeInput, SelfLoops, edge_index_of, edges_of, thinned, through


class NodeNetwork(Encoder):
    """``depth`` layers of ``width``; ``layer(n, last)`` makes one that reads rows of width n and is called with them and the
    edges. ``sees``: ``mask_token`` or ``corrupt`` put a learned vector at hidden nodes, ``full`` hides none. ``drop_edges``:
    share of the edges left out in training; ``self_loops``: see ``thinned``. ``drop_outputs``: see
    ``through``. ``out``: width that the last layer gives."""

    def __init__(
        self,
        spec: Spec,
        embedding: Callable[[int], nn.Module],
        depth: int,
        width: int,
        sees: Sees,
        layer: Callable[[int, bool], nn.Module],
        drop_edges: float = 0.0,
        self_loops: SelfLoops = "kept",
        drop_outputs: float = 0.0,
        out: int | None = None,
    ) -> None:
        super().__init__()
        self.drop_outputs = drop_outputs
        if not 0.0 <= drop_edges < 1.0:
            raise ValueError(f"drop_edges must lie in 0 to 1, 1 excluded, not {drop_edges}")
        if depth < 1 or width < 1:
            raise ValueError(f"depth {depth} and width {width} must be 1 or more")
        self.width, self.sees, self.drop_edges, self.self_loops = out or width, sees, drop_edges, self_loops
        self.input = NodeInput(spec, embedding, width, sees in ("mask_token", "corrupt"))
        inputs = [self.input.width] + [width] * (depth - 1)
        self.layers = nn.ModuleList(layer(n, i + 1 == depth) for i, n in enumerate(inputs))

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """Taps: ``block.i``, the output of layer i; ``edges``, those that were read, int64 ``[2, E]``."""
        tokens = thinned(seen.tokens, self.drop_edges, self.self_loops) if self.training else seen.tokens
        x, tapped = through(
            list(self.layers), self.input(seen), edges_of(tokens), taps, self.drop_outputs if self.training else 0.0
        )
        if "edges" in taps:
            tapped["edges"] = edge_index_of(tokens)
        return Latent(x, seen.tokens.layout, index=seen.index, taps=tapped)

    def units(self) -> list[nn.Module]:
        return list(self.layers)
