"""How encoders are judged, whatever the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from maskedmod.errors import UserError
from maskedmod.evaluate.features import POOLS, Pool
from maskedmod.support.devices import check

TRAINED, RANDOM, RAW = "pre-trained", "random initialisation", "raw features"
ROWS = (TRAINED, RANDOM, RAW)


@dataclass(frozen=True)
class Settings:
    """``level``: what a row is, a ``sample`` or a ``token`` (nodes of a graph, residues), of which each has a label.
    ``pool``: see ``features.pooled``. ``encoder``: the student, or its teacher. ``seeds``: how many. ``folds``: 0 for the data
    source's own split, else that many folds over all its samples. ``split``: a named split over all samples, ``random`` or one of
    the modality's, in place of the source's own. ``samples``: at most so many training samples, drawn with
    seed 0 (None: all). ``device``: None takes a GPU when there is one. ``how`` checkpoints are read: see ``zoo.load``."""

    pool: Pool = "mean"
    encoder: Literal["student", "teacher"] = "student"
    level: Literal["sample", "token"] = "sample"
    seeds: int = 3
    folds: int = 0
    split: str | None = None
    samples: int | None = None
    batch_size: int = 128
    workers: int = 0
    device: str | None = None
    how: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value, accepted in (
            ("pool", self.pool, POOLS),
            ("encoder", self.encoder, ("student", "teacher")),
            ("level", self.level, ("sample", "token")),
        ):
            if value not in accepted:
                raise UserError(f"{name}={value}: accepted are {', '.join(accepted)}")
        for name, number, least in (("seeds", self.seeds, 1), ("batch_size", self.batch_size, 1), ("workers", self.workers, 0)):
            if number < least:
                raise UserError(f"{name}={number}: must be at least {least}")
        if self.folds < 0 or self.folds == 1 or (self.samples is not None and self.samples < 1):
            raise UserError(f"folds={self.folds}, samples={self.samples}: no folds or at least 2, and at least 1 sample")
        if self.folds and self.split:
            raise UserError(f"folds={self.folds} and split={self.split} are two ways to judge; give one")
        if self.device is not None:
            check(self.device)

    @property
    def place(self) -> str:
        """The device that is meant."""
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")
