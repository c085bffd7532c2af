"""Atoms hidden at random, with the bonds that they have."""

from __future__ import annotations

import torch

from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import packed_from_masked, smallest
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.layers.graphs.bonds import hide_bonds


class Atoms(Mask):
    """``int(n ratio + 1)`` of the n atoms of every molecule (attribute masking, Hu et al. 2020, section 3.1.2): at least one.

    ``ratio``: a share, or several for as many masks of every molecule (Mole-BERT, Xia et al. 2023, section 3.2: 0.15 and 0.3);
    0 hides nothing. ``bonds``: the ids of all bonds of a hidden atom are hidden too.
    """

    def __init__(self, spec: Spec, ratio: float | tuple[float, ...] = 0.15, bonds: bool = False) -> None:
        super().__init__()
        self.ratios = (ratio,) if isinstance(ratio, float | int) else tuple(ratio)
        if not self.ratios or not all(0.0 <= one < 1.0 for one in self.ratios) or not any(self.ratios):
            raise ValueError(f"mask.ratio={ratio}: expected shares from 0 to below 1, one of them above 0")
        if bonds and not spec.edge_categories:
            raise ValueError("mask.bonds=true: this modality has no bonds with ids")
        self.bonds, self.per_sample = bonds, len(self.ratios)
        self.bond_id = spec.edge_categories[0] + 1 if bonds else 0

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        """Packed rows, the molecules once for every ratio -> MaskSet."""
        if not rows.layout.packed:
            raise ValueError("mask=atoms is for packed atoms; use modality=molecular_graph")
        assert rows.layout.cu_seqlens is not None
        segment, counts = rows.layout.segments(), rows.layout.cu_seqlens.diff().long()
        share = torch.tensor(self.ratios, dtype=torch.float64, device=rows.device)
        share = share.repeat_interleave(rows.batch // self.per_sample)
        asked = torch.where(share > 0, (counts * share + 1).long(), 0).minimum(counts)
        noise = torch.rand(rows.shape, generator=ctx.generator, device=rows.device)
        mask = packed_from_masked(smallest(noise, asked, torch.ones_like(noise, dtype=torch.bool), segment), self.per_sample)
        return hide_bonds(mask, rows, self.bond_id) if self.bonds else mask
