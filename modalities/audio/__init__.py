"""Sound as log-mel spectrograms cut into patches: ``Audio`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskedmod.support.lazy import lazily

if TYPE_CHECKING:  # for editors and type checkers
    from maskedmod.support.lazy import model, models

    from .adapter import Audio
    from .augment.roll import Roll
    from .demo import DemoClips
    from .fbank import Filterbank, kaldi_fbank
    from .listen import griffin_lim
    from .patches import Lattice
    from .reading import read_clip
    from .resampling import resample

_HOME = {
    "Audio": "adapter",
    "Roll": "augment.roll",
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

__getattr__, __dir__ = lazily(__name__, _HOME)
