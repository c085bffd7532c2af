"""Images of any size, shape and number of channels, cut into patches: ``Image`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers
    from .adapter import Image
    from .augment.crop import Crop
    from .named import model, models
    from .patches import patchify, unpatchify
    from .reading import decode
    from .resampling import resample

_HOME = {
    "Image": "adapter",
    "Crop": "augment.crop",
    "model": "named",
    "models": "named",
    "decode": "reading",
    "resample": "resampling",
    "patchify": "patches",
    "unpatchify": "patches",
}

__all__ = ["Crop", "Image", "decode", "model", "models", "patchify", "resample", "unpatchify"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
