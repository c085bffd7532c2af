"""What every teacher promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from torch import nn

from maskedmod.core.apply import Seen
from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.modality import Modality


class Teacher(nn.Module, ABC):
    """Base of teachers, built as ``block(spec, student, **arguments)`` with the student's encoder.

    ``sees``: ``full`` (before the mask is drawn, all tokens) or ``same`` (after it, the student's own input).
    ``width`` is the width of its latent. ``follows``: its ``encoder`` is an average of the student's.
    """

    width: int
    sees: Literal["full", "same"] = "full"
    follows: bool = False

    @abstractmethod
    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """Encode without gradient."""

    def bind(self, modality: Modality) -> None:
        """Called once when the model is built; for teachers that read tokens in another way than the student."""

    def update(self, student: nn.Module, ctx: Context) -> None:
        """Called once after every optimiser step; nothing to do for a frozen teacher."""
