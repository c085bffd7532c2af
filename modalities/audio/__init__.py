"""Sound as log-mel spectrograms cut into patches: ``Audio`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers
    from .adapter import Audio
    from .augment.roll import Roll
    from .demo import DemoClips
    from .fbank import Filterbank, kaldi_fbank
    from .listen import griffin_lim
    from .named import model, models
    from .patches import Lattice
    from .reading import read_clip
    from .resampling import resample

_HOME = {
    "Audio": "adapter",
    "Roll": "augment.roll",
    "model": "named",
    "models": "named",
    "Filterbank": "fbank",
    "kaldi_fbank": "fbank",
    "resample": "resampling",
    "read_clip": "reading",
    "Lattice": "patches",
    "griffin_lim": "listen",
    "DemoClips": "demo",
}

__all__ = [
    "Audio",
    "DemoClips",
    "Filterbank",
    "Lattice",
    "Roll",
    "griffin_lim",
    "kaldi_fbank",
    "model",
    "models",
    "read_clip",
    "resample",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
