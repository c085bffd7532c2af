"""Language-model head: scores of all ids at the positions that are asked for."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.blocks.head import Head, encoded_at
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.layers.block import make_norm
from maskedmod.layers.ids import IdEmbedding
from maskedmod.layers.init import Init, initialise
from maskedmod.layers.linear import Linear, linear


class Lm(Head):
    """Dense, activation, norm, then one score per id (BERT: Devlin et al. 2019, code; RoBERTa, ESM).

    ``tied``: the last map is the encoder's embedding table (Press & Wolf 2017), one parameter that is saved once; else it has its
    own. ``bias``: one number per id. ``transform``: the dense layer and what follows it, else the last map alone. ``eps``: of the
    norm. Only the positions of the loss are computed. ValueError where tying has no table of that many ids.
    """

    reads_hidden = True

    def __init__(
        self,
        spec: Spec,
        tied: bool = True,
        bias: bool = True,
        transform: bool = True,
        activation: Literal["gelu", "gelu_tanh", "relu"] = "gelu",
        eps: float = 1e-5,
        init: Init = "trunc_normal",
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.dense = Linear(spec.width, spec.width) if transform else None
        self.norm = make_norm("layer", spec.width, eps) if transform else None
        self.decoder = None if tied else nn.Linear(spec.width, spec.target, bias=False)
        self.bias = nn.Parameter(torch.zeros(spec.target)) if bias else None
        self.outputs = spec.target
        initialise(self, init, init_std)
        self._table: list[IdEmbedding] = []  # a list: the module stays the encoder's, here it is only read

    def bind(self, encoder: Encoder) -> None:
        """Take the table of the encoder's embedding when tied."""
        if self.decoder is not None:
            return
        table = getattr(encoder, "embed", None)
        if not isinstance(table, IdEmbedding) or len(table.weight) != self.outputs:
            raise ValueError("head=lm: tied=true needs an encoder that embeds the ids it predicts; use tied=false")
        self._table = [table]

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[M, J, T, target]``, packed ``[T, target]``, pooled ``[M, target]``."""
        return self.logits(encoded_at(view, where))

    def logits(self, x: Tensor) -> Tensor:
        """Encoded tokens ``[..., D]`` -> scores of all ids ``[..., target]``."""
        if self.dense is not None and self.norm is not None:
            x = self.dense(x)
            if self.activation == "relu":
                x = F.relu(x)
            else:
                x = F.gelu(x, approximate="tanh" if self.activation == "gelu_tanh" else "none")
            x = self.norm(x)
        weight = self._table[0].weight if self.decoder is None else self.decoder.weight
        return linear(x, weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))
