"""The encoder of a visual tokenizer: a Transformer, then the nearest vector of a codebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import torch.nn.functional as F
from torch import nn

from maskedmod.core.apply import Seen
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.latent import Latent
from maskedmod.core.spec import Spec
from maskedmod.encoders.transformer import Transformer
from maskedmod.layers.attention import QkvBias
from maskedmod.layers.ema_codebook import EmaCodebook
from maskedmod.layers.init import Init, initialise
from maskedmod.layers.positions import Positions
from maskedmod.layers.quantised import TAPS, quantised


class VqTransformer(Encoder):
    """Vector-quantised Vision Transformer (VQ-KD of BEiT v2, Peng et al. 2022, section 2.2). It sees all tokens.

    ``depth``, ``width``, ``heads``, ``positions``, ``qkv_bias``, ``mlp_ratio``, ``drop_path``, ``eps``, ``init``, ``rescale``: of
    ``transformer``. ``codes``: size of the
    vocabulary; ``code_width``: of its unit vectors, to which two linear maps with a tanh between them lead; ``decay``: of
    the vectors' moving average. Its features are the codes' vectors, whose gradient passes straight to the network's.
    Taps that are always there: ``vectors`` before quantisation, ``codes`` int64, ``code_vectors`` as they are in the codebook.
    """

    sees: Literal["full"] = "full"

    def __init__(
        self,
        spec: Spec,
        embedding: Callable[[int], nn.Module],
        depth: int = 12,
        width: int = 768,
        heads: int = 12,
        codes: int = 8192,
        code_width: int = 32,
        decay: float = 0.99,
        positions: Positions = "learned",
        qkv_bias: QkvBias = "qv",
        drop_path: float = 0.0,
        eps: float = 1e-6,
        init: Init = "trunc_normal",
        rescale: bool = True,
        mlp_ratio: float = 4.0,
    ) -> None:
        super().__init__()
        self.width = code_width
        how = {"positions": positions, "qkv_bias": qkv_bias, "eps": eps, "drop_path": drop_path, "init": init, "rescale": rescale}
        how["mlp_ratio"] = mlp_ratio
        self.vit = Transformer(spec, embedding, depth, width, heads, "full", **how)  # type: ignore[arg-type]
        self.project = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, code_width))
        initialise(self.project, init, 0.02)
        self.book = EmaCodebook(codes, code_width, decay)

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """All tokens -> the vectors of their codes ``[M, N, code_width]`` (packed ``[L, code_width]``); no class token."""
        latent = self.vit(replace(seen, hidden=None), [tap for tap in taps if tap not in TAPS])
        x = F.normalize(self.project(latent.tokens).float(), dim=-1)
        return quantised(replace(latent, prefix=None, has_class=False), x, self.book.codes(x), self.book.vectors)

    def units(self) -> list[nn.Module]:
        return self.vit.units()
