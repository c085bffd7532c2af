"""Decoder of places: each asks the encoded tokens alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.core.tokens import take
from maskedmod.layers.block import BlockSettings
from maskedmod.layers.cross_attention import CrossBlock
from maskedmod.layers.init import Init, initialise
from maskedmod.layers.positions import PositionMlp


class CrossDecoder(Head):
    """Queries made of places alone look at the encoder's output through cross-attention and are not aware of one another
    (MaskPoint, Liu et al. 2022, section 3.2), then two linear layers with a GELU between them.

    Places are those that the target asks for, else those of the tokens in question. They become vectors by the encoder's own map
    of positions (``encoder.positions=mlp``). ``hidden``: width between the last two layers.
    """

    def __init__(
        self,
        spec: Spec,
        depth: int = 1,
        heads: int = 6,
        hidden: int = 64,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        eps: float = 1e-5,
        init: Init = "trunc_normal",
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"cross_decoder.depth must be 1 or more, not {depth}")
        settings = BlockSettings(spec.width, heads, mlp_ratio, "none", eps=eps)
        rates = torch.linspace(0, drop_path, depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(CrossBlock(settings, rate) for rate in rates)
        self.fc, self.pred = nn.Linear(spec.width, hidden), nn.Linear(hidden, spec.target)
        initialise(self, init, init_std)
        self.blocks[0].get_parameter("norm1.weight").requires_grad_(False)  # queries begin at 0: a norm gives its shift alone
        self._encoder: list[Encoder] = []  # a list: the module stays the encoder's, here it is only read

    def bind(self, encoder: Encoder) -> None:
        """Take the encoder's map of positions."""
        if not isinstance(getattr(encoder, "positions", None), PositionMlp):
            raise ValueError("head=cross_decoder makes queries by the encoder's map of places: set encoder.positions=mlp")
        self._encoder = [encoder]

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[M, J, T, target]``."""
        latent, rows = view.student, view.rows
        asked = where.at
        if asked is None:
            asked = rows.pos[:, None] if where.index is None else take(rows.pos, where.index)
        place = self._vectors(asked.flatten(1, 2))
        memory, beside = latent.tokens, self._vectors(rows.pos if latent.index is None else take(rows.pos, latent.index))
        valid = latent.layout.valid
        if latent.prefix is not None:
            memory, beside = torch.cat([latent.prefix, memory], dim=1), torch.cat([self._first(latent.prefix), beside], dim=1)
            valid = None if valid is None else F.pad(valid, (latent.prefix.shape[1], 0), value=True)
        x = torch.zeros_like(place, dtype=memory.dtype)
        for block in self.blocks:
            x = block(x, place, memory, beside, None if valid is None else valid[:, None, None, :])
        return self.pred(F.gelu(self.fc(x))).unflatten(1, asked.shape[1:3])  # type: ignore[no-any-return]

    def units(self) -> list[nn.Module]:
        return list(self.blocks)

    def _vectors(self, places: Tensor) -> Tensor:
        return self._encoder[0].get_submodule("positions")(places)  # type: ignore[no-any-return]

    def _first(self, prefix: Tensor) -> Tensor:
        """Places of class tokens, which the encoder learns."""
        learned: Tensor | None = getattr(self._encoder[0], "prefix_positions", None)
        return torch.zeros_like(prefix) if learned is None else learned.to(prefix.dtype).expand_as(prefix)
