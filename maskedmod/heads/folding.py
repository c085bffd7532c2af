"""From vectors of groups to their points: a few coarse ones, each of which becomes a small patch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.core.tokens import take
from maskedmod.layers.linear import Linear
from maskedmod.layers.points.edge_convolution import EdgeConvolutions
from maskedmod.layers.points.grouping import each

SIDE, REACH = 2, 0.05
"""Every coarse point becomes a patch of SIDE x SIDE points between -REACH and REACH."""


class Folding(Head):
    """Edge convolutions over the groups, then per group an MLP for the coarse points and FoldingNet for the fine ones (Yang et
    al. 2018; the decoder of Point-BERT's tokenizer, Yu et al. 2022, section 3.2).

    ``width``: out of the edge convolutions; ``hidden``: of the MLP, of the folding half of it; ``base``, ``neighbours``: of the
    edge convolutions. A prediction is the coarse points, a quarter of the group's, followed by the fine ones:
    ``loss=chamfer`` with ``coarse`` compares both. Needs groups of a multiple of four points, and all tokens.
    """

    reads_hidden = True

    def __init__(self, spec: Spec, width: int = 256, hidden: int = 1024, base: int = 128, neighbours: int = 4) -> None:
        super().__init__()
        self.axes, self.fine = spec.axes, spec.target // spec.axes
        if self.fine % SIDE**2:
            raise ValueError(f"head=folding makes {SIDE**2} points of one: groups of {self.fine} points cannot be made")
        self.coarse = self.fine // SIDE**2
        self.edges = EdgeConvolutions(spec.width, width, base, neighbours)
        self.points = nn.Sequential(
            Linear(width, hidden), nn.ReLU(), Linear(hidden, hidden), nn.ReLU(), Linear(hidden, self.coarse * self.axes)
        )
        middle = hidden // 2
        self.fold1, self.norm1 = Linear(width + self.axes + 2, middle), nn.BatchNorm1d(middle)
        self.fold2, self.norm2 = Linear(middle, middle), nn.BatchNorm1d(middle)
        self.fold3 = nn.Linear(middle, self.axes)
        line = torch.linspace(-REACH, REACH, SIDE)
        self.seed: Tensor
        self.register_buffer("seed", torch.cartesian_prod(line, line).flip(1), persistent=False)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[M, J, T, (coarse + fine) * axes]``."""
        if where.index is None or view.student.index is not None:
            raise ValueError("head=folding needs the encoder's output at all tokens, and predicts tokens")
        x = self.edges(view.student.tokens, view.rows.pos.float())
        coarse = self.points(x).unflatten(-1, (self.coarse, self.axes))
        return take(torch.cat([coarse, self._folded(x, coarse)], dim=-2).flatten(-2), where.index)

    def units(self) -> list[nn.Module]:
        return [self.edges]

    def _folded(self, x: Tensor, coarse: Tensor) -> Tensor:
        """Vectors ``[M, G, width]`` and points ``[M, G, coarse, A]`` -> ``[M, G, fine, A]``."""
        start = coarse.repeat_interleave(SIDE**2, dim=-2)
        seed = self.seed.to(x.dtype).repeat(self.coarse, 1).expand(*start.shape[:-1], 2)
        whole = x[..., None, :].expand(*start.shape[:-1], x.shape[-1])
        y = each(self.norm1, self.fold1(torch.cat([whole, seed, start], dim=-1))).relu()
        return start + self.fold3(each(self.norm2, self.fold2(y)).relu())  # type: ignore[no-any-return]
