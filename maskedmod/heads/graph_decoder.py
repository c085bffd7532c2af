"""A graph layer that predicts hidden nodes from the visible ones around them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.layers.graphs.gat import GatLayer, GatSettings
from maskedmod.layers.graphs.gin import GinLayer
from maskedmod.layers.graphs.parts import Activation, NodeNorm, edges_of
from maskedmod.layers.linear import Linear


class GraphDecoder(Head):
    """Map without bias, re-mask, and one layer of attention or GIN (GraphMAE, Hou et al. 2022, section 3.2).

    ``remask``: ``zero``, hidden nodes enter as exact zeros, whatever the encoder made of them; ``random`` (GraphMAE2, Hou et al.
    2023, section 3.2): a learned vector stands at a share ``ratio`` of all nodes, drawn anew for each of ``views`` predictions,
    and the loss is their mean. Only the predicted nodes are computed, all with batch norm, whose
    statistics are those of all nodes. Edges that the encoder dropped are back.
    ``norm``, ``activation``: inside a GIN's MLP, which is as wide as the encoder.
    """

    def __init__(
        self,
        spec: Spec,
        kind: Literal["gat", "gin"] = "gat",
        heads: int = 1,
        slope: float = 0.2,
        dropout: float = 0.2,
        attention_dropout: float = 0.1,
        activation: Activation = "prelu",
        norm: NodeNorm = "batch",
        remask: Literal["zero", "random"] = "zero",
        ratio: float = 0.5,
        views: int = 1,
    ) -> None:
        super().__init__()
        if views < 1 or (views > 1 and remask == "zero"):
            raise ValueError(f"views={views}: expected 1, or more with remask=random")
        if not 0.0 < ratio < 1.0:
            raise ValueError(f"ratio must lie between 0 and 1, not {ratio}")
        self.remask, self.ratio, self.views = remask, ratio, views
        self.reads_hidden = remask == "random"
        self.embed = Linear(spec.width, spec.width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(spec.width)) if remask == "random" else None
        self.whole = kind == "gin" and norm == "batch"
        self.layer: GatLayer | GinLayer
        if kind == "gat":
            self.layer = GatLayer(spec.width, spec.target, GatSettings(heads, slope, dropout, attention_dropout))
            if remask == "zero":  # it reads predicted nodes alone, which are 0
                self.layer.target.requires_grad_(False)
        else:
            self.layer = GinLayer(spec.width, spec.width, spec.target, activation, norm, dropout)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[T, target]``, with several views ``[views, T, target]``."""
        if where.index is None or not view.mask.packed:
            raise ValueError("head=graph_decoder predicts packed nodes; region=pooled has none")
        if self.whole:
            edges = edges_of(view.rows)
            made = [self.layer(x, edges)[where.index] for x in self._inputs(view)]
        else:
            edges = edges_of(view.rows, where.index)
            made = [self.layer(x, edges, where.index) for x in self._inputs(view)]
        return made[0] if self.views == 1 else torch.stack(made)

    def units(self) -> list[nn.Module]:
        return [self.layer]

    def _inputs(self, view: View) -> list[Tensor]:
        """Input ``[L, D]`` of the layer for every view."""
        student, keep = view.student, view.mask.keep
        if self.mask_token is None:
            visible = student.tokens if student.index is not None else student.tokens[keep]
            mapped = self.embed(visible)
            return [mapped.new_zeros(len(view.rows.values), mapped.shape[1]).index_copy(0, keep, mapped)]
        if student.index is not None:
            raise ValueError("remask=random needs the encoder's output at all nodes: encoder.only_visible=false")
        mapped = self.embed(student.tokens)
        return [torch.where(self._drawn(mapped)[:, None], self.mask_token, mapped) for _ in range(self.views)]

    def _drawn(self, x: Tensor) -> Tensor:
        """bool ``[L]``: an exact share of the nodes."""
        count = int(self.ratio * len(x))
        return torch.zeros(len(x), dtype=torch.bool, device=x.device).index_fill_(
            0, torch.randperm(len(x), device=x.device)[:count], True
        )
