"""JSON from outside: of limited size, with no key twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from maskedmod.errors import UserError, one_line

MOST = 100_000_000
"""Bytes of a JSON text; indices of the largest published models have 10 MB."""


def read(path: Path) -> dict[str, Any]:
    """The object in a file. UserError in one line when it is too long, no JSON, no object, or has a key twice."""
    size = path.stat().st_size
    if size > MOST:
        raise UserError(f"{path}: {size} bytes of JSON, at most {MOST} are read")
    return parse(path.read_bytes(), str(path))


def parse(text: bytes, where: str) -> dict[str, Any]:
    """The object in a text."""
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not JSON ({one_line(str(error), 120)})") from None
    if not isinstance(found, dict):
        raise UserError(f"{where}: holds a {type(found).__name__}, expected an object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice")
        found[key] = value
    return found
