"""Images of any size, shape and number of channels, cut into patches: ``Image`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskedmod.support.lazy import lazily

if TYPE_CHECKING:  # for editors and type checkers
    from maskedmod.support.lazy import model, models

    from .adapter import Image
    from .augment.crop import Crop
    from .patches import patchify, unpatchify
    from .reading import decode
    from .resampling import resample

_HOME = {
    "Image": "adapter",
    "Crop": "augment.crop",
    "decode": "reading",
    "resample": "resampling",
    "patchify": "patches",
    "unpatchify": "patches",
}

__all__ = ["Crop", "Image", "decode", "model", "models", "patchify", "resample", "unpatchify"]

__getattr__, __dir__ = lazily(__name__, _HOME)
