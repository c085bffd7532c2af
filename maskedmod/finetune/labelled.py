"""Records with their encoded labels: what the loader reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.modality import Modality, Record
from maskedmod.evaluate.token_labels import BEYOND


class Labelled(nn.Module):
    """A modality whose batches are ``{"batch": ..., "labels": ...}``. ``y``: encoded labels, a row for every place of a
    ``chosen.Chosen``. Labels of tokens come without padding, one after the other: int64 ``[T]``."""

    def __init__(self, modality: Modality, y: Tensor, per_token: bool) -> None:
        super().__init__()
        self.modality, self.y, self.per_token = modality, y, per_token

    def read(self, record: Record) -> tuple[Any, int]:
        row = record.extra["row"]
        if self.per_token:  # labels do not move with a random cut or another spelling: the sample is read whole, as for judging
            record = replace(record, extra={key: value for key, value in record.extra.items() if key != "seed"})
        return self.modality.read(record), row

    def plausible(self, sample: tuple[Any, int]) -> None:
        self.modality.plausible(sample[0])

    def collate(self, samples: Sequence[tuple[Any, int]]) -> dict[str, Any]:
        labels = self.y[torch.tensor([row for _, row in samples])]
        return {
            "batch": self.modality.collate([sample for sample, _ in samples]),
            "labels": labels[labels != BEYOND] if self.per_token else labels,
        }
