"""Models of this modality by name, with fresh weights; trained ones come from ``maskedmod.load``."""

from __future__ import annotations

from maskedmod.api.create import create, names
from maskedmod.api.loaded import Loaded


def models() -> list[str]:
    """Names that ``model`` knows: the recipes of this modality."""
    return names("points")


def model(name: str, *words: str, preset: str | None = None, seed: int = 0) -> Loaded:
    """See ``maskedmod.create``."""
    return create(name, *words, preset=preset, seed=seed)
