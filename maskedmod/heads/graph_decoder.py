"""A graph layer that predicts hidden nodes from the visible ones around them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.layers.graphs.gat import GatLayer, GatSettings, Score
from maskedmod.layers.graphs.gcn import Bias, GcnLayer
from maskedmod.layers.graphs.gin import GinLayer
from maskedmod.layers.graphs.messages import incoming
from maskedmod.layers.graphs.node_mlp import NodeMlp
from maskedmod.layers.graphs.parts import Activation, NodeNorm, edge_index_of
from maskedmod.layers.linear import Linear


class GraphDecoder(Head):
    """Map without bias, re-mask, and one layer (GraphMAE, Hou et al. 2022, section 3.2).

    ``kind``: attention (``gat``, with the ``score`` of the encoder's), ``gin``, ``gcn``, or of every node alone: ``mlp`` with a
    hidden layer ``mlp_ratio`` times as wide as the encoder, ``linear``.
    ``remask``: ``zero``, hidden nodes enter as exact zeros, whatever the encoder made of them; ``random`` (GraphMAE2, Hou et al.
    2023, section 3.2): a learned vector stands at a share ``ratio`` of all nodes, drawn anew for each of ``views`` predictions,
    and the loss is their mean; ``none``, all that mlp and linear can do, since they read a hidden node alone.
    Only the predicted nodes are computed; all with batch norm, whose statistics are those of all nodes, and with gcn.
    ``edges``: edges that the encoder dropped are back, or ``encoder``: those that it read (GraphMAE's PyG branch).
    ``joined``: how many of the encoder's last layers are read, side by side.
    ``norm``, ``activation``: inside a GIN's MLP, which is as wide as the encoder. ``bias``: of gcn, see ``encoder=gcn``.
    """

    def __init__(
        self,
        spec: Spec,
        kind: Literal["gat", "gin", "gcn", "mlp", "linear"] = "gat",
        heads: int = 1,
        slope: float = 0.2,
        dropout: float = 0.2,
        attention_dropout: float = 0.1,
        activation: Activation = "prelu",
        norm: NodeNorm = "batch",
        remask: Literal["zero", "random", "none"] = "zero",
        ratio: float = 0.5,
        views: int = 1,
        score: Score = "add",
        bias: Bias = "after",
        mlp_ratio: float = 1.0,
        edges: Literal["all", "encoder"] = "all",
        joined: int = 1,
    ) -> None:
        super().__init__()
        _check(kind, remask, ratio, views, joined)
        self.remask, self.ratio, self.views, self.joined, self.edges = remask, ratio, views, joined, edges
        self.reads_hidden = remask != "zero"
        self.taps = tuple(f"block.{i}" for i in range(-joined, 0)) if joined > 1 else ()
        self.taps += ("edges",) if edges == "encoder" else ()
        self.embed = Linear(spec.width * joined, spec.width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(spec.width)) if remask == "random" else None
        self.whole = kind == "gcn" or (kind == "gin" and norm == "batch")
        self.layer: nn.Module
        if kind == "gat":
            self.layer = GatLayer(spec.width, spec.target, GatSettings(heads, slope, dropout, attention_dropout, score=score))
            if remask == "zero" and self.layer.target is not None:  # it reads predicted nodes alone, which are 0
                self.layer.target.requires_grad_(False)
        elif kind == "gin":
            self.layer = GinLayer(spec.width, spec.width, spec.target, activation, norm, dropout)
        elif kind == "gcn":
            self.layer = GcnLayer(spec.width, spec.target, dropout, bias=bias)
        else:
            hidden = round(mlp_ratio * spec.width) if kind == "mlp" else 0
            self.layer = NodeMlp(spec.width, hidden, spec.target, dropout)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[T, target]``, with several views ``[views, T, target]``."""
        if where.index is None or not view.mask.packed:
            raise ValueError("head=graph_decoder predicts packed nodes; region=pooled has none")
        edge_index = view.student.taps["edges"] if self.edges == "encoder" else edge_index_of(view.rows)
        nodes = len(view.rows.values)
        if self.whole:
            edges = incoming(edge_index, nodes)
            made = [self.layer(x, edges)[where.index] for x in self._inputs(view)]
        else:
            edges = incoming(edge_index, nodes, where.index)
            made = [self.layer(x, edges, where.index) for x in self._inputs(view)]
        return made[0] if self.views == 1 else torch.stack(made)

    def units(self) -> list[nn.Module]:
        return [self.layer]

    def _inputs(self, view: View) -> list[Tensor]:
        """Input ``[L, D]`` of the layer for every view."""
        student, keep = view.student, view.mask.keep
        encoded = student.tokens
        if student.index is not None and (self.joined > 1 or self.remask != "zero"):
            option = "head.joined" if self.joined > 1 else f"remask={self.remask}"
            raise ValueError(f"{option} needs the encoder's output at all nodes: encoder.only_visible=false")
        if self.joined > 1:
            encoded = torch.cat([student.taps[f"block.{i}"] for i in range(-self.joined, 0)], dim=1)
        if self.remask == "zero":
            mapped = self.embed(encoded if student.index is not None else encoded[keep])
            return [mapped.new_zeros(len(view.rows.values), mapped.shape[1]).index_copy(0, keep, mapped)]
        mapped = self.embed(encoded)
        if self.mask_token is None:
            return [mapped]
        return [torch.where(self._drawn(mapped)[:, None], self.mask_token, mapped) for _ in range(self.views)]

    def _drawn(self, x: Tensor) -> Tensor:
        """bool ``[L]``: an exact share of the nodes."""
        count = int(self.ratio * len(x))
        return torch.zeros(len(x), dtype=torch.bool, device=x.device).index_fill_(
            0, torch.randperm(len(x), device=x.device)[:count], True
        )


def _check(kind: str, remask: str, ratio: float, views: int, joined: int) -> None:
    """ValueError for what does not go together."""
    if views < 1 or (views > 1 and remask != "random"):
        raise ValueError(f"views={views}: expected 1, or more with remask=random")
    if not 0.0 < ratio < 1.0:
        raise ValueError(f"ratio must lie between 0 and 1, not {ratio}")
    if kind in ("mlp", "linear") and remask != "none":
        raise ValueError(f"kind={kind} reads a node alone, so remask={remask} would leave it nothing: say remask=none")
    if joined < 1:
        raise ValueError(f"joined must be 1 or more, not {joined}")
