"""One trainer for all models. It knows one protocol and no block or modality: see ``protocol.Trainable``.

The package can be called: ``maskedmod.train("mae", "data=folder", "data.path=photos/", preset="tiny")``, see ``command.train``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType


class _Train(ModuleType):
    """A package that is a function too, so that the verb has one name on the command line and in Python."""

    def __call__(
        self,
        recipe: str | Path,
        *words: str,
        preset: str | None = None,
        out: str | Path | None = None,
        seed: int | None = None,
        quiet: bool = False,
    ) -> Path:
        """Train a recipe -> its run folder, see ``maskedmod.train.command.train``."""
        from maskedmod.train.command import train

        return train(recipe, *words, preset=preset, out=out, seed=seed, quiet=quiet)


sys.modules[__name__].__class__ = _Train
