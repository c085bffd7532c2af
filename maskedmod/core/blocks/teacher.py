"""What every teacher promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from maskedmod.core.apply import Seen
from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.modality import Modality


class Checkpoints(Protocol):
    """What whoever builds a model hands to its teacher, so that this can read earlier models. ``zoo.load.Checkpoints`` is one."""

    def load(self, checkpoint: str, settings: Mapping[str, Any] | None = None) -> Any:
        """Whatever ``maskedmod.load`` reads, as ``zoo.loaded.Loaded``."""

    def weights(self, checkpoint: str, prefix: str) -> tuple[Path, dict[str, Tensor]]:
        """The file of a run's newest checkpoint, or a ``model.safetensors``, and those of its tensors whose names begin with
        ``prefix``, which is taken off."""


class Teacher(nn.Module, ABC):
    """Base of teachers, built as ``block(spec, student, **arguments)`` with the student's encoder.

    ``sees``: ``full`` (before the mask is drawn, all tokens), ``same`` (after it, the student's own input), or ``own`` (what
    another draw of the mask leaves). ``views``: those that it looks at, None = all. ``width`` is the width of its latent.
    ``follows``: its ``encoder`` is an average of the student's.
    """

    width: int
    sees: Literal["full", "same", "own"] = "full"
    follows: bool = False
    views: tuple[str, ...] | None = None

    @abstractmethod
    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """Encode without gradient."""

    def read(self, checkpoints: Checkpoints) -> None:
        """Called once when the model is built, before ``bind``; for teachers with weights of their own."""

    def bind(self, modality: Modality) -> None:
        """Called once when the model is built; for teachers that read tokens in another way than the student."""

    def update(self, student: nn.Module, ctx: Context) -> None:
        """Called once after every optimiser step; nothing to do for a frozen teacher."""


class NoCheckpoints:
    """For models that are built where nothing can be read."""

    def load(self, checkpoint: str, settings: Mapping[str, Any] | None = None) -> Any:
        raise self._error(checkpoint)

    def weights(self, checkpoint: str, prefix: str) -> tuple[Path, dict[str, Tensor]]:
        raise self._error(checkpoint)

    @staticmethod
    def _error(checkpoint: str) -> ValueError:
        return ValueError(
            f"teacher.checkpoint={checkpoint} cannot be read here: give build_model checkpoints=maskedmod.zoo.load.Checkpoints()"
        )
