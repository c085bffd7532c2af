"""Graph attention network over packed nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor, nn

from maskedmod.core.apply import Seen, Sees
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.latent import Latent
from maskedmod.core.spec import Spec
from maskedmod.layers.graphs.gat import GatLayer, GatSettings, Score
from maskedmod.layers.graphs.parts import (
    Activation,
    NodeInput,
    NodeNorm,
    NodeRows,
    SelfLoops,
    edge_index_of,
    edges_of,
    part,
    thinned,
)


class Gat(Encoder):
    """GAT (Velickovic et al. 2018) as GraphMAE's encoder builds it (Hou et al. 2022, appendix A.2): ``depth`` equal layers of
    ``heads`` heads, ``width`` in all, each with bias, residual, norm and activation.

    ``sees``: ``mask_token`` or ``corrupt`` put a learned vector at hidden nodes, ``full`` hides nothing. ``slope``: of the
    LeakyReLU on attention logits. ``dropout``: of every layer's input; ``attention_dropout``: of attention weights.
    ``score``: of two neighbours, ``add`` as published or ``dot``, their product, with no bias (DotGAT of GraphMAE's code).
    ``same_width_residual``: false leaves the residual out where a layer's widths agree (GraphMAE2's released code).
    ``drop_edges``: share of the edges left out in training, self-loops ``kept``, or dropped as well and one ``added`` to every
    node. ``only_visible``: give the visible nodes alone,
    which is all that a decoder with ``remask=zero`` reads, so that the last layer computes no others.
    ``out``, ``out_heads``: width and heads of the last layer (null: as of the others).
    ``projector``: width inside an MLP whose output is the tap ``projection`` (GraphMAE2, Hou et al. 2023, section 3.3).
    """

    def __init__(
        self,
        spec: Spec,
        embedding: Callable[[int], nn.Module],
        depth: int = 2,
        width: int = 512,
        heads: int = 4,
        sees: Sees = "corrupt",
        activation: Activation = "prelu",
        norm: NodeNorm = "none",
        residual: bool = False,
        slope: float = 0.2,
        dropout: float = 0.2,
        attention_dropout: float = 0.1,
        drop_edges: float = 0.0,
        only_visible: bool = False,
        projector: int | None = None,
        score: Score = "add",
        same_width_residual: bool = True,
        self_loops: SelfLoops = "kept",
        out: int | None = None,
        out_heads: int | None = None,
    ) -> None:
        super().__init__()
        if depth < 1 or width < 1:
            raise ValueError(f"depth {depth} and width {width} must be 1 or more")
        if not 0.0 <= drop_edges < 1.0:
            raise ValueError(f"drop_edges must lie in 0 to 1, 1 excluded, not {drop_edges}")
        self.width, self.sees, self.drop_edges, self.only_visible = out or width, sees, drop_edges, only_visible
        self.self_loops = self_loops
        self.input = NodeInput(spec, embedding, width, sees in ("mask_token", "corrupt"))
        settings = GatSettings(heads, slope, dropout, attention_dropout, residual, norm, activation, score, same_width_residual)
        inputs = [self.input.width] + [width] * (depth - 1)
        last = replace(settings, heads=out_heads or heads)
        self.layers = nn.ModuleList(GatLayer(n, width, settings) for n in inputs[:-1])
        self.layers.append(GatLayer(inputs[-1], self.width, last))
        self.projector: nn.Module | None = None
        if projector is not None:
            ends = self.width
            self.projector = nn.Sequential(nn.Linear(ends, projector), nn.PReLU(), nn.Linear(projector, ends))

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """Taps: ``block.i``, the output of layer i; ``edges``, those that were read, int64 ``[2, E]``; ``projection``."""
        tokens = thinned(seen.tokens, self.drop_edges, self.self_loops) if self.training else seen.tokens
        edges, rows, layout = edges_of(tokens), None, tokens.layout
        x: Tensor | NodeRows = self.input(seen)
        tapped: dict[str, Tensor] = {"edges": edge_index_of(tokens)} if "edges" in taps else {}
        for i, layer in enumerate(self.layers):
            if self.only_visible and seen.mask is not None and i + 1 == len(self.layers):
                rows = seen.mask.keep
                edges, layout = edges_of(tokens, rows), part(layout, rows)
            out: Tensor = layer(x, edges, rows)
            tapped.update({tap: out for tap in (f"block.{i}", f"block.{i - len(self.layers)}") if tap in taps})
            x = out
        if "projection" in taps:
            if self.projector is None:
                raise ValueError("the projection needs encoder.projector, the width of its MLP")
            tapped["projection"] = self.projector(out)
        return Latent(out, layout, index=seen.index if rows is None else rows, taps=tapped)

    def units(self) -> list[nn.Module]:
        return list(self.layers)
