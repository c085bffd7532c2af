"""Models of one modality by name, with fresh weights: ``maskedmod.modalities.image.model("mae")``."""

from __future__ import annotations

from collections.abc import Callable

from maskedmod.api.create import create, names
from maskedmod.api.loaded import Loaded


def models_of(package: str) -> Callable[[], list[str]]:
    """``models`` of a modality's package."""

    def models() -> list[str]:
        """Names that ``model`` knows: the recipes of this modality."""
        return names(package.rpartition(".")[2])

    return models


def model_of(package: str) -> Callable[..., Loaded]:
    """``model`` of a modality's package."""

    def model(name: str, *words: str, preset: str | None = None, seed: int = 0) -> Loaded:
        """See ``maskedmod.create``."""
        return create(name, *words, preset=preset, seed=seed)

    return model
