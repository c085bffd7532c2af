"""Hierarchical Transformer over a pyramid of groups, on visible tokens only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from maskedmod.core.apply import Seen, Sees
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.latent import Latent
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.pyramid import Level, Pyramid, put_back
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout, Tokens, take
from maskedmod.layers.attention import QkvBias, Who
from maskedmod.layers.block import BlockSettings, make_norm, make_stages
from maskedmod.layers.init import Init, initialise
from maskedmod.layers.points.distances import squared_distances
from maskedmod.layers.points.grouping import SetPool
from maskedmod.layers.positions import PositionMlp


class PointPyramid(Encoder):
    """Point-M2AE's encoder (Zhang et al. 2022, section 3.2), from the finest level to the coarsest: embed or merge groups,
    leave out the hidden ones, add positions made of coordinates before every block.

    All groups are embedded and only visible ones go through blocks: a coarse group that is visible has visible members only, so
    nothing of what is hidden is seen, but for a BatchNorm's statistics in training. ``widths``, ``depths``: of every level,
    finest first. ``local_radius``: a token of a level attends to those nearer than this (paper: 0.32, 0.64, 1.28); null, and 0
    for a level: to all. ``radius_on``: ``tokens``, or ``padding`` as in the released pre-training code, which multiplies the two
    masks: no token is kept out, but visible tokens within the radius of the origin attend to the padding of their sample, whose
    features and centre are 0, so that a sample depends on its batch. ``drop_path``: rate at the last block, linear in
    depth over all.
    The latent's tokens are the visible ones of the coarsest level; ``levels`` has those of every level, normed from level
    ``normed`` on: a norm that no head reads would learn nothing.
    """

    sees: Sees = "full"

    def __init__(
        self,
        spec: Spec,
        embedding: Callable[[int], nn.Module],
        widths: tuple[int, ...] = (96, 192, 384),
        depths: tuple[int, ...] = (5, 5, 5),
        heads: int = 6,
        local_radius: tuple[float, ...] | None = None,
        normed: int = 0,
        mlp_ratio: float = 4.0,
        qkv_bias: QkvBias = "none",
        drop_path: float = 0.0,
        eps: float = 1e-5,
        init: Init = "trunc_normal",
        init_std: float = 0.02,
        radius_on: Literal["tokens", "padding"] = "tokens",
    ) -> None:
        super().__init__()
        if not len(widths) == len(depths) == len(local_radius or depths) > 0:
            raise ValueError(f"widths {widths}, depths {depths} and local_radius {local_radius} must have one number a level")
        self.width, self.levels, self.local_radius = widths[-1], widths, local_radius
        self.reads_padding = radius_on == "padding" and local_radius is not None
        self.embed = embedding(widths[0])
        self.merges = nn.ModuleList(SetPool(fine, fine, fine, coarse, coarse) for fine, coarse in pairwise(widths))
        self.positions = nn.ModuleList(PositionMlp(spec.axes, width, width) for width in widths)
        self.stages = make_stages(widths, depths, BlockSettings(widths[0], heads, mlp_ratio, qkv_bias, eps=eps), drop_path)
        self.norms = nn.ModuleList(
            nn.Identity() if level < normed else make_norm("layer", width, eps) for level, width in enumerate(widths)
        )
        initialise(self, init, init_std)

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """Encode; there are no taps, ``Latent.levels`` gives every level."""
        tokens, mask = seen.tokens, seen.mask
        if not isinstance(tokens, Pyramid) or len(tokens.levels) != len(self.levels):
            raise ValueError(f"point_pyramid needs tokens of {len(self.levels)} scales (points: modality.coarser)")
        if taps:
            raise ValueError(f"point_pyramid has no taps ({', '.join(taps)} asked); its latent has all levels")
        x, encoded = tokens.levels[0].values, []
        for number, level in enumerate(tokens.levels):
            x = self.embed(x) if number == 0 else self.merges[number - 1](take(x, level.members))
            picked = None if mask is None else mask.at(number)
            visible = self._encode(number, x, level, picked)
            encoded.append(visible)
            x = visible.values if picked is None else put_back(visible.values, picked, x)
        levels = tuple(
            Tokens(norm(level.values), level.pos, level.layout) for norm, level in zip(self.norms, encoded, strict=True)
        )
        index = None if mask is None else mask.at(len(levels) - 1).keep
        return Latent(levels[-1].values, levels[-1].layout, index=index, levels=levels)

    def units(self) -> list[nn.Module]:
        return [block for stage in self.stages for block in stage]  # type: ignore[attr-defined]

    def _encode(self, number: int, x: Tensor, level: Level, mask: MaskSet | None) -> Tokens:
        """Visible tokens of a level, through its blocks; x ``[M, G, D]``."""
        pos, valid = level.pos, None
        if mask is not None:
            x, pos, valid = take(x, mask.keep), take(pos, mask.keep), mask.keep_valid
            if self.reads_padding and valid is not None:
                x, pos = x.masked_fill(~valid[..., None], 0.0), pos.masked_fill(~valid[..., None], 0.0)
        who = Who(allowed=self._allowed(number, pos, valid), added=self.positions[number](pos).to(x.dtype))
        for block in self.stages[number]:  # type: ignore[attr-defined]
            x = block(x, who)
        return Tokens(x, pos, Layout(valid=valid))

    def _allowed(self, number: int, pos: Tensor, valid: Tensor | None) -> Tensor | None:
        """Keys that are no padding and near enough; a token always sees itself, so that padding has a key as well."""
        keys = None if valid is None else valid[:, None, None, :]
        radius = 0.0 if self.local_radius is None else self.local_radius[number]
        if radius <= 0.0 or (self.reads_padding and valid is None):
            return keys
        near = (squared_distances(pos, pos) < radius**2)[:, None]
        itself = torch.eye(pos.shape[1], dtype=torch.bool, device=pos.device)
        if keys is None:
            return near | itself
        if not self.reads_padding:
            return near & keys | itself
        listed = torch.arange(pos.shape[1], device=pos.device) < valid.sum(1).amax()  # type: ignore[union-attr]
        return keys & keys.mT | near & listed | itself  # lists are longer than the longest on a GPU: those places are nowhere
