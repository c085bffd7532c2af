"""A model with what is known of it: where its weights came from, and the recipe that it was built from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from maskedmod.core.modality import Modality
from maskedmod.core.model import MaskedModel
from maskedmod.support.devices import device_of, told
from maskedmod.zoo.report import Report


@dataclass
class Loaded:
    """``model``: in eval mode. ``report``: what became of every key. ``layout``: its name (``run`` for a run folder). ``tree``:
    the recipe tree the model was built from. ``baseline``: per-position training mean of every target, where the run has it.
    ``extras``: tensors of the file beside the model (``contact.weight`` and ``contact.bias`` of ESM). ``kept``: tensors of the
    file that the model holds in another form or not at all, for writing the file back as it was.

    What one does with it are functions of the rooms above; ``maskedmod.load`` gives it with these as its methods."""

    model: MaskedModel
    report: Report
    layout: str
    tree: dict[str, Any]
    baseline: dict[str, Tensor] | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict)

    @property
    def modality(self) -> Modality:
        """The adapter: reader, tokenizer, pictures."""
        return self.model.modality

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return device_of(self.model)

    def to(self, device: str | torch.device) -> Self:
        """Move the model; returns self. UserError for a device that this machine does not have."""
        with told(device):
            self.model.to(device)
        return self
