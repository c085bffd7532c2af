"""What every protocol on frozen features shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from maskedmod.evaluate.labels import Labels, Task


@dataclass(frozen=True)
class Known:
    """The training part: features ``[n, D]``, labels, and the group of every row (rows of one group are never parted)."""

    x: Tensor
    labels: Labels
    groups: Sequence[str]


class Probe(ABC):
    """Base of protocols; constructor arguments are keys of the command. ``tasks`` that it can do; ``draws``: whether its result
    depends on the seed."""

    tasks: ClassVar[tuple[Task, ...]]
    draws: ClassVar[bool] = True

    @abstractmethod
    def predict(self, known: Known, test: Tensor, seed: int) -> tuple[Tensor, dict[str, Any]]:
        """Learn from ``known`` alone -> scores ``[n, C]`` or numbers ``[n, K]`` for the rows of ``test``, and the settings
        chosen. Every choice is made on a part of ``known``; ``test`` has no labels here."""


class Scaler:
    """Every feature to mean 0 and deviation 1 over the training rows; constant features to 0."""

    def __init__(self, x: Tensor) -> None:
        self.mean = x.mean(0)
        std = x.std(0, correction=0)
        self.scale = torch.where(std > 1e-7 * (1 + self.mean.abs()), 1 / std.clamp(min=1e-30), torch.zeros_like(std))

    def __call__(self, x: Tensor) -> Tensor:
        return (x - self.mean) * self.scale
