"""What a published layout offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from maskedmod.zoo.mapping import Rule

Weights = Mapping[str, Tensor]


class Layout(Protocol):
    """What a layout's module offers. ``SETTINGS``: names and defaults of what no tensor tells. ``CONFIG``: their names in a
    ``config.json``. Beside them, read by ``arguments.check``: ``REFERENCE``, the published constructor; ``ARGUMENTS``
    (``dict[str, Argument]``), every argument of it; ``REFUSED``, patterns of keys of a file of this layout, and which published
    option they are of; ``UNREAD``, the same of files that are of no layout here; ``RELEASED`` (``dict[str, str]``), arguments
    that may be given as settings by their released names, with our setting's name or the reason why there is none."""

    NAME: str
    SETTINGS: dict[str, Any]
    CONFIG: dict[str, str]

    def matches(self, weights: Weights) -> bool:
        """Whether these keys (and, where keys are shared, shapes) are of this layout."""

    def recipe(self, weights: Weights, settings: dict[str, Any]) -> dict[str, Any]:
        """Recipe tree of the model, with sizes read from the tensors. UserError when they contradict the settings."""

    def rules(self, weights: Weights, settings: dict[str, Any]) -> list[Rule]:
        """Where every key goes."""

    def untrained(self, weights: Weights) -> dict[str, str]:
        """Prefixes of our parameters that this file does not hold, with the reason."""
