"""Head over two tokens at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.core.blocks.head import Head, encoded_at
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.layers.block import make_norm
from maskedmod.layers.init import Init, initialise
from maskedmod.layers.pairing import partners


class Pair(Head):
    """Both tokens of a pair side by side, dense, GELU, norm, then one score per class (PMLM, He et al. 2021). Pairs
    are those of ``target=token_pairs``. ``eps``: of the norm."""

    reads_hidden = True

    def __init__(self, spec: Spec, eps: float = 1e-5, init: Init = "trunc_normal", init_std: float = 0.02) -> None:
        super().__init__()
        self.dense = nn.Linear(2 * spec.width, spec.width)
        self.norm = make_norm("layer", spec.width, eps)
        self.pred = nn.Linear(spec.width, spec.target)
        initialise(self, init, init_std)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[T, target]``."""
        if where.index is None:
            raise ValueError("head=pair predicts pairs of tokens; region=pooled has none")
        x = encoded_at(view, where)
        both = torch.cat([x, x[partners(where.index, view.source.layout)]], dim=-1)
        return self.pred(self.norm(F.gelu(self.dense(both))))
