"""Images of any size, shape and number of channels, cut into patches: ``Image`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Image": "adapter",
    "decode": "reading",
    "resample": "resampling",
    "patchify": "patches",
    "unpatchify": "patches",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
