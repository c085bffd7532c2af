"""What every encoder promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import nn

from maskedmod.core.apply import Seen, Sees
from maskedmod.core.latent import Latent


class Encoder(nn.Module, ABC):
    """Base of encoders, built as ``block(spec, embedding, **arguments)``; ``embedding(width)`` makes the modality's
    learned embedding, which the encoder owns. ``width`` is D, ``sees`` how the mask is applied to its input, ``levels`` the width
    of every level, finest first, of an encoder that gives several."""

    width: int
    sees: Sees
    levels: tuple[int, ...] = ()

    @abstractmethod
    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """Encode; ``taps`` names the intermediate tensors that somebody wants (see Latent)."""

    def units(self) -> list[nn.Module]:
        """Sub-modules to compile, shard and checkpoint one by one."""
        return []

    def depth(self) -> int:
        """Number of blocks, for ``layers=[-1]``-like settings and layer decay."""
        return len(self.units())
