"""The encoder of an atom tokenizer: GIN, then the nearest vector of a codebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from torch import nn

from maskedmod.core.apply import Seen
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.latent import Latent
from maskedmod.core.spec import Spec
from maskedmod.encoders.gin_bonds import GinBonds
from maskedmod.layers.codebook import ElementCodebook
from maskedmod.layers.graphs.bond_layers import BondLayer
from maskedmod.layers.quantised import quantised

SLICES = ((0, 377), (378, 433), (434, 488), (489, 511))


class GinCodes(Encoder):
    """Vector-quantised GIN (Mole-BERT, Xia et al. 2023, section 3.1; van den Oord et al. 2017). It sees all atoms.

    ``depth``, ``width``, ``dropout``, ``layer``, ``heads``: of ``gin_bonds``. ``codes``: size of the vocabulary; ``slices``:
    first code and one past the last for carbon, nitrogen, oxygen and other elements. The gradient of a code's vector passes
    straight to the network's. Taps that are always there: ``vectors`` before quantisation, ``codes`` int64, ``code_vectors``
    as they are in the codebook.
    """

    sees: Literal["full"] = "full"

    def __init__(
        self,
        spec: Spec,
        embedding: Callable[[int], nn.Module],
        depth: int = 5,
        width: int = 300,
        codes: int = 512,
        slices: tuple[tuple[int, int], ...] = SLICES,
        dropout: float = 0.0,
        layer: BondLayer = "gin",
        heads: int = 2,
    ) -> None:
        super().__init__()
        self.width = width
        self.gin = GinBonds(spec, embedding, depth, width, "full", "last", dropout, layer, heads)
        self.book = ElementCodebook(codes, width, slices)

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """Packed atoms -> the vectors of their codes ``[L, D]``."""
        latent = self.gin(replace(seen, hidden=None), [tap for tap in taps if tap.startswith("block")])
        codes = self.book.codes(latent.tokens, seen.tokens.values[:, 0])
        return quantised(latent, latent.tokens, codes, self.book.vectors)

    def units(self) -> list[nn.Module]:
        return self.gin.units()
