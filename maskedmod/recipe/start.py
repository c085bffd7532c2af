"""``init`` of a recipe: the weights that a run starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskedmod.errors import UserError, unknown
from maskedmod.layers import fit


@dataclass(frozen=True)
class Start:
    """``init`` of a recipe: ``checkpoint``; ``resize``: how position tables and patch embeddings are fitted to another lattice or
    patch size (bicubic, bilinear, nearest); ``channels``: how a patch embedding is fitted to another number of channels (mean,
    sum, repeat). null: what has another shape stays as drawn. The others: how the checkpoint is read, see ``zoo.load``."""

    checkpoint: str
    resize: fit.Resize | None = None
    channels: str | None = None
    modality: str | None = None
    vocabulary: str | None = None
    special: dict[str, str | None] | None = None
    prefix: str | None = None
    layout: str | None = None
    settings: dict[str, Any] | None = None

    @property
    def how(self) -> dict[str, Any]:
        """How the checkpoint is read."""
        found = {key: getattr(self, key) for key in ("modality", "vocabulary", "special", "prefix", "layout", "settings")}
        return {key: value for key, value in found.items() if value is not None}

    @classmethod
    def of(cls, given: str | Path | Mapping[str, Any]) -> Start:
        """From a path or the keys. UserError for an unknown key or rule."""
        if isinstance(given, str | Path):
            return cls(str(given))
        for key in given:
            if key not in cls.__dataclass_fields__:
                raise unknown("key", str(key), cls.__dataclass_fields__, "of init")
        for key, rules in (("resize", fit.RESIZES), ("channels", fit.CHANNELS)):
            if given.get(key) is not None and given[key] not in rules:
                raise unknown("rule", str(given[key]), rules, f"of init.{key}")
        if not given.get("checkpoint"):
            raise UserError("init has no checkpoint: write init=NAME, a run folder or a published checkpoint")
        return cls(**{key: value for key, value in given.items() if value is not None})
