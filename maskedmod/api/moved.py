"""Modules that the pages of version 0.1 told people to import, and that stand elsewhere now: the old name still gives them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED: dict[str, tuple[str, ...]] = {
    "maskedmod.context": ("maskedmod.core.context", "maskedmod.core.step"),
    "maskedmod.modality": ("maskedmod.core.modality",),
    "maskedmod.tokens": (
        "maskedmod.core.tokens",
        "maskedmod.core.mask_set",
        "maskedmod.core.latent",
        "maskedmod.core.spec",
    ),
    "maskedmod.config": ("maskedmod.recipe.config",),
    "maskedmod.compat": ("maskedmod.support.compat",),
    "maskedmod.pictures": ("maskedmod.reconstruct.run",),
    "maskedmod.data.graph": ("maskedmod.data.graphs.graph",),
    "maskedmod.embedding": ("maskedmod.embed",),
    "maskedmod.api.backbone": ("maskedmod.features.backbone",),
    "maskedmod.evaluate.run": ("maskedmod.api.evaluate",),
    "maskedmod.evaluate.finetune": ("maskedmod.finetune",),
    "maskedmod.evaluate.finetune.saved": ("maskedmod.finetune.saved",),
    "maskedmod.evaluate.finetune.trial": ("maskedmod.finetune.trial",),
}
"""Old name -> the modules that have its content."""


class Finder(MetaPathFinder, Loader):
    """Asked for what no other finder has; a DeprecationWarning names the new place."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Of the old names alone."""
        if name not in MOVED:
            return None
        return ModuleSpec(name, self, is_package=any(other.startswith(f"{name}.") for other in MOVED))

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is loaded before a name of it is asked for."""
        old = module.__name__

        def find(name: str) -> Any:
            if _is_systems(name):
                raise AttributeError(f"module {old!r} has no attribute {name!r}")
            for home in MOVED[old]:
                if hasattr(found := import_module(home), name):
                    return getattr(found, name)
            raise AttributeError(f"module {old!r} has no attribute {name!r}; it is {' and '.join(MOVED[old])} now")

        module.__getattr__ = find  # type: ignore[method-assign]
        warnings.warn(f"{old} is {' and '.join(MOVED[old])} now", DeprecationWarning, stacklevel=2)


def _is_systems(name: str) -> bool:
    """Names such as ``__file__``, which ``inspect`` asks of every loaded module: to load the new places for these, amid whatever
    is being imported then, would import in a circle. ``__all__`` is asked for by ``import *`` alone."""
    return name.startswith("__") and name.endswith("__") and name != "__all__"


def install() -> None:
    """Once a process."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
