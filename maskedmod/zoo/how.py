"""The words that say how a checkpoint is read, the same in every verb that takes one. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskedmod.errors import UserError

HOW = ("modality", "vocabulary", "special", "prefix", "layout", "settings")
"""Keys that ``zoo.load.load`` takes beside the checkpoint."""
DICTS = ("special", "settings")


def how(given: Mapping[str, Any]) -> dict[str, Any]:
    """The keys among ``given`` that say how to read. UserError for a value of another kind."""
    found = {key: given[key] for key in HOW if given.get(key) is not None}
    for key, value in found.items():
        if key in DICTS and not isinstance(value, dict):
            raise UserError(f"{key} expects {{name: value, ...}}, got {value!r}")
        if key not in DICTS and not isinstance(value, str | int | float):
            raise UserError(f"{key} expects text, got {value!r}")
    return {key: value if key in DICTS else str(value) for key, value in found.items()}
