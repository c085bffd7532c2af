"""Decoder that goes down a pyramid: mask tokens at the coarsest level, then propagation to finer ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.pyramid import Pyramid, put_back
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.core.tokens import take
from maskedmod.layers.attention import QkvBias, Who
from maskedmod.layers.block import BlockSettings, make_norm, make_stages
from maskedmod.layers.init import Init, initialise
from maskedmod.layers.points.grouping import each, interpolate
from maskedmod.layers.positions import PositionMlp


class PyramidDecoder(Head):
    """Point-M2AE's decoder (Zhang et al. 2022, section 3.3), from the coarsest level to the one that is predicted.

    The coarsest level gets mask tokens at hidden places and blocks. Each finer one takes the values above it at the three
    nearest places, puts them beside the encoder's own visible tokens (0 where hidden), and goes through a residual layer and
    blocks. Widths are the encoder's. ``depths``: blocks of each level, coarsest first; their number is that of the levels
    walked. ``up_blocks``: residual layers of each step down. ``outputs``: numbers predicted per token, null: as the target
    has; the released Point-M2AE predicts 48, 16 points, for groups of 8.
    """

    def __init__(
        self,
        spec: Spec,
        depths: tuple[int, ...] = (1, 1),
        up_blocks: tuple[int, ...] = (1,),
        heads: int = 6,
        outputs: int | None = None,
        mlp_ratio: float = 4.0,
        qkv_bias: QkvBias = "none",
        drop_path: float = 0.0,
        eps: float = 1e-5,
        init: Init = "xavier",
    ) -> None:
        super().__init__()
        if not 0 < len(depths) <= len(spec.levels) or len(up_blocks) != len(depths) - 1:
            raise ValueError(
                f"pyramid_decoder walks {len(depths)} levels in {len(up_blocks)} steps; the encoder has {len(spec.levels)} levels"
            )
        widths = spec.levels[::-1][: len(depths)]
        self.positions = nn.ModuleList(PositionMlp(spec.axes, width, width) for width in widths)
        self.stages = make_stages(widths, depths, BlockSettings(widths[0], heads, mlp_ratio, qkv_bias, eps=eps), drop_path)
        steps = zip(widths, widths[1:], up_blocks, strict=False)
        self.ups = nn.ModuleList(Propagation(coarse, fine, count) for coarse, fine, count in steps)
        self.norm = make_norm("layer", widths[-1], eps)
        self.pred = nn.Linear(widths[-1], spec.target if outputs is None else outputs)
        initialise(self, init)
        self.mask_token = nn.Parameter(torch.randn(widths[0]) * 0.02)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[M, J, T, target]``."""
        rows, latent = view.rows, view.student
        if not isinstance(rows, Pyramid) or not latent.levels:
            raise ValueError("pyramid_decoder needs tokens of several scales and encoder=point_pyramid")
        top = len(rows.levels) - 1
        if where.index is None or rows.at != top - len(self.ups):
            raise ValueError(f"pyramid_decoder.depths leads to level {top - len(self.ups)}; level {rows.at} is predicted")
        x = self.mask_token.to(latent.tokens.dtype).expand(*rows.levels[top].pos.shape[:2], -1)
        x = put_back(latent.tokens, view.mask.at(top), x)
        for step, stage in enumerate(self.stages):
            number = top - step
            pos = rows.levels[number].pos
            if step:
                own = latent.levels[number].values
                skip = put_back(own, view.mask.at(number), own.new_zeros(*pos.shape[:2], own.shape[-1]))
                x = self.ups[step - 1](skip, interpolate(x, pos, rows.levels[number + 1].pos))
            who = Who(added=self.positions[step](pos).to(x.dtype))
            for block in stage:  # type: ignore[attr-defined]
                x = block(x, who)
        return self.pred(take(self.norm(x), where.index))  # type: ignore[no-any-return]

    def units(self) -> list[nn.Module]:
        return [block for stage in self.stages for block in stage]  # type: ignore[attr-defined]


class Propagation(nn.Module):
    """Own values of a level and those carried down to it -> values of the level: linear, BatchNorm, GELU, residual layers."""

    def __init__(self, coarse: int, fine: int, blocks: int) -> None:
        super().__init__()
        self.fuse, self.norm = nn.Linear(fine + coarse, fine), nn.BatchNorm1d(fine)
        self.residual = nn.ModuleList(Residual(fine) for _ in range(blocks))

    def forward(self, own: Tensor, carried: Tensor) -> Tensor:
        """``[M, N, fine]`` and ``[M, N, coarse]`` -> ``[M, N, fine]``."""
        x = F.gelu(each(self.norm, self.fuse(torch.cat([own, carried], dim=-1))))
        for block in self.residual:
            x = block(x)
        return x


class Residual(nn.Module):
    """``gelu(x + norm(fc2(gelu(norm(fc1(x))))))``, as in PointMLP (Ma et al. 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.norm1 = nn.Linear(width, width), nn.BatchNorm1d(width)
        self.fc2, self.norm2 = nn.Linear(width, width), nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.gelu(each(self.norm1, self.fc1(x)))
        return F.gelu(x + each(self.norm2, self.fc2(inner)))
