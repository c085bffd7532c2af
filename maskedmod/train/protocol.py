"""All that the trainer asks of a model and of a loader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn

from maskedmod.core.context import Context


class Trainable(Protocol):
    """A model, which is an ``nn.Module`` too."""

    def __call__(self, batch: dict[str, Any], ctx: Context, watch: bool = False) -> dict[str, Tensor]:
        """Losses: ``loss``, one entry per objective, ``loss.<optimiser>`` when there are several optimisers."""

    def param_groups(self) -> list[dict[str, Any]]:
        """Groups ``{params, names, decay, optimizer}`` of trainable parameters."""

    def after_step(self, ctx: Context) -> None:
        """State that changes once per optimiser step."""

    def diagnose(self) -> dict[str, float]:
        """Vital signs of the last watched forward pass."""

    def units(self) -> list[nn.Module]:
        """What to compile, shard and recompute one by one."""


class Batches(Protocol):
    """A loader."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches of this process in one pass."""

    def batches(self, start_step: int = 0) -> Iterator[dict[str, Any]]:
        """Endless training batches; the one of a step is a pure function of the step."""
