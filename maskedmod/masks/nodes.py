"""Nodes of graphs, hidden by a token or by another node's values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import KEPT, MASKED, RANDOM, MaskSet
from maskedmod.core.masking import packed_from_masked
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens


@dataclass
class NodeMask(MaskSet):
    """A mask that drew itself what its RANDOM nodes are given: ``replaced`` and ``givers`` int64, nodes and those whose values
    they get."""

    replaced: Tensor | None = None
    givers: Tensor | None = None

    def randomised(self, rows: Tokens, where: Tensor) -> Tokens:
        """rows with the values of ``givers`` at ``replaced``."""
        assert self.replaced is not None and self.givers is not None
        if len(self.replaced) == 0:
            return rows
        return replace(rows, values=rows.values.index_copy(0, self.replaced, rows.values[self.givers]))


class Nodes(Mask):
    """Hide ``int(ratio * n)`` of the n nodes of a batch, drawn uniformly over all its graphs (GraphMAE, Hou et al. 2022, section
    3.2 and released code). Of these m nodes ``int((1 - replace) * m)`` get the mask token and ``int(replace * m)`` the values
    of a node drawn from all of them; one that rounding leaves over keeps its own. All are predicted.
    Where some nodes are not eligible, n counts those that are.
    """

    def __init__(self, spec: Spec, ratio: float = 0.5, replace: float = 0.0) -> None:
        super().__init__()
        if not 0.0 < ratio < 1.0:
            raise ValueError(f"mask.ratio must lie between 0 and 1, not {ratio}")
        if not 0.0 <= replace <= 1.0:
            raise ValueError(f"mask.replace must lie in 0 to 1, not {replace}")
        self.ratio, self.replace = ratio, replace

    def forward(self, rows: Tokens, ctx: Context) -> NodeMask:
        """Packed rows -> mask with codes for encoder.sees=corrupt. ValueError for dense tokens."""
        if not rows.layout.packed:
            raise ValueError("mask=nodes is for packed nodes")

        def shuffled(n: int) -> Tensor:
            return torch.randperm(n, generator=ctx.generator, device=rows.device)

        total = len(rows.values)
        allowed = torch.arange(total, device=rows.device) if rows.eligible is None else rows.eligible.nonzero()[:, 0]
        order = allowed[shuffled(len(allowed))]
        chosen = order[: int(self.ratio * len(order))]
        return node_mask(total, chosen[shuffled(len(chosen))], shuffled(total), self.replace)


def node_mask(nodes: int, hidden: Tensor, others: Tensor, replace: float) -> NodeMask:
    """The mask that hides ``hidden`` (int64, the tokens first) of ``nodes`` nodes; replaced ones take the values of the first
    nodes in ``others``."""
    count = int(replace * len(hidden))
    token, replaced = hidden[: int((1 - replace) * len(hidden))], hidden[len(hidden) - count :]
    masked = torch.zeros(nodes, dtype=torch.bool, device=hidden.device).index_fill_(0, hidden, True)
    plain = packed_from_masked(masked)
    code = torch.where(masked, KEPT, 0).index_fill(0, token, MASKED).index_fill(0, replaced, RANDOM).to(torch.int8)
    return NodeMask(plain.role, plain.keep, plain.targets, code=code, replaced=replaced, givers=others[:count])
