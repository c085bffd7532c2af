"""The encoder of a tokenizer for groups of points: a discrete variational autoencoder's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.core.apply import Seen, Sees
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.schedules import Ramp, value
from maskedmod.core.spec import Spec
from maskedmod.layers.points.edge_convolution import EdgeConvolutions


class PointCodes(Encoder):
    """Groups to codes of a vocabulary (Point-BERT, Yu et al. 2022, section 3.2): embedding, edge convolutions over neighbouring
    groups, a score for every code; the feature of a group is its code's vector.

    In training the code is drawn by Gumbel-softmax (Jang et al. 2017): a mixture of vectors, the sharper the lower
    ``temperature``, a number or a schedule over steps; ``hard``: the one code drawn, with the gradient of the mixture. Otherwise
    it is the code of the largest score. ``width``: of the embedding; ``code_width``: of the code vectors, null: the same;
    ``codes``: size of the vocabulary; ``base``, ``neighbours``: of the edge convolutions. It sees all tokens. Taps that are
    always there: ``vectors`` (the scores), ``codes`` int64, ``code_vectors``.
    """

    sees: Sees = "full"

    def __init__(
        self,
        spec: Spec,
        embedding: Callable[[int], nn.Module],
        width: int = 256,
        codes: int = 8192,
        temperature: float | Ramp = 1.0,
        base: int = 128,
        neighbours: int = 4,
        code_width: int | None = None,
        hard: bool = False,
    ) -> None:
        super().__init__()
        if codes < 4 or codes % 4:
            raise ValueError(f"encoder.codes={codes}: the norm over scores needs a multiple of 4")
        self.width, self.schedule, self.hard = code_width or width, temperature, hard
        self.embed = embedding(width)
        self.edges = EdgeConvolutions(width, codes, base, neighbours)
        self.book = nn.Parameter(torch.randn(codes, self.width))
        self.temperature: Tensor
        self.register_buffer("temperature", torch.tensor(value(temperature, Context())))  # saved: a resumed run goes on with it

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """All tokens -> the vectors of their codes ``[M, G, width]``."""
        if seen.tokens.layout.packed or seen.tokens.layout.valid is not None:
            raise ValueError("encoder=point_codes needs as many groups in every sample")
        scores = self.edges(self.embed(seen.tokens.values), seen.tokens.pos.float())
        codes = scores.argmax(-1)
        vectors = self.book[codes]
        x = vectors
        if self.training:
            x = self._drawn(scores.float()).to(self.book.dtype) @ self.book
        more = {"vectors": scores, "codes": codes, "code_vectors": vectors}
        return Latent(x, seen.tokens.layout, taps=more)

    def units(self) -> list[nn.Module]:
        return [self.edges]

    @torch.no_grad()
    def after_step(self, ctx: Context) -> None:
        """The temperature of the next step."""
        self.temperature.fill_(value(self.schedule, ctx))

    def _drawn(self, scores: Tensor) -> Tensor:
        """Shares ``[M, G, K]`` of a Gumbel-softmax draw."""
        noise = -torch.empty_like(scores).exponential_().log()
        shares = F.softmax((scores + noise) / self.temperature, dim=-1)
        if not self.hard:
            return shares
        return F.one_hot(shares.argmax(-1), shares.shape[-1]).to(shares.dtype) - shares.detach() + shares
