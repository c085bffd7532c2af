"""Packages whose names are imported at first use, so that importing a package costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

_OFFERED: dict[str, Callable[[str], Any]] = {}


def lazily(package: str, home: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` for the ``__init__`` of ``package`` (PEP 562). ``home``: name -> the module of the package
    that has it. What ``offer`` named is there too."""

    def find(name: str) -> Any:
        if name in home:
            value = getattr(import_module(f".{home[name]}", package), name)
        elif name in _OFFERED:
            value = _OFFERED[name](package)
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    return find, lambda: sorted({*home, *_OFFERED})


def offer(name: str, make: Callable[[str], Any]) -> None:
    """A name that every such package has: ``make`` is called with the package's name when it is first asked for. The root hands
    in what stands above the packages (models by name), so that these import nothing that stands above them."""
    _OFFERED[name] = make


if TYPE_CHECKING:  # what is offered, for editors

    def model(name: str, *words: str, preset: str | None = None, seed: int = 0) -> Any:
        """A model of this modality with fresh weights, see ``maskedmod.create``; its type stands above the packages, and is
        known to who calls that."""

    def models() -> list[str]:
        """Names that ``model`` knows: the recipes of this modality."""
