"""One projection per token: enough when mask tokens are inside the encoder."""

from __future__ import annotations

from torch import Tensor, nn

from maskedmod.core.blocks.head import Head, encoded_at
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.layers.init import Init, initialise
from maskedmod.layers.linear import Linear as Dense


class Linear(Head):
    """``Linear(D, target)`` (SimMIM, section 3.3; MaskFeat; data2vec).

    On tokens of one patch this is the 1x1 convolution with pixel shuffle of SimMIM: the modality owns the order of values
    inside a patch. ``zero``: start at zero weights.
    """

    reads_hidden = True

    def __init__(self, spec: Spec, bias: bool = True, zero: bool = False, init: Init = "xavier", init_std: float = 0.02) -> None:
        super().__init__()
        self.pred = Dense(spec.width, spec.target, bias=bias)
        initialise(self, init, init_std)
        if zero:
            nn.init.zeros_(self.pred.weight)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[M, J, T, target]``, packed ``[T, target]``, pooled ``[M, target]``."""
        return self.pred(encoded_at(view, where))
