"""Masked modelling for every modality: tokenize, mask, encode, predict.

``import maskedmod`` is cheap: torch is imported when a model is made or loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from maskedmod.api import moved
from maskedmod.support.lazy import offer
from maskedmod.support.version import __version__

if TYPE_CHECKING:  # for editors and type checkers
    from maskedmod.api.create import create
    from maskedmod.api.load import load
    from maskedmod.core.model import MaskedModel
    from maskedmod.train.command import train

_LAZY = {
    "load": ("maskedmod.api.load", "load"),
    "create": ("maskedmod.api.create", "create"),
    "MaskedModel": ("maskedmod.core.model", "MaskedModel"),
}
__all__ = ["__version__", "create", "load", "MaskedModel", "train"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    if name == "train":  # the package, which can be called
        return import_module("maskedmod.train")
    raise AttributeError(f"module 'maskedmod' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


offer("model", lambda package: import_module("maskedmod.api.named").model_of(package))
offer("models", lambda package: import_module("maskedmod.api.named").models_of(package))
moved.install()
