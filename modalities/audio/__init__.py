"""Sound as log-mel spectrograms cut into patches: ``Audio`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Audio": "adapter",
    "Filterbank": "fbank",
    "kaldi_fbank": "fbank",
    "resample": "resampling",
    "read_clip": "reading",
    "Lattice": "patches",
    "griffin_lim": "listen",
    "DemoClips": "demo",
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
