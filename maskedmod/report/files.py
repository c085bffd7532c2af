"""Reading what a run wrote, whatever state it is in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def text(file: Path) -> str:
    """Content, or nothing when the file is absent."""
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def json_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file, or nothing when it is absent or damaged."""
    try:
        found = json.loads(text(file) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def json_lines(file: Path) -> list[dict[str, Any]]:
    """Objects of a JSON-lines file; a line that a crash cut is passed over."""
    found = []
    for line in text(file).splitlines():
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if isinstance(one, dict):
            found.append(one)
    return found


def yaml_tree(content: str) -> dict[str, Any]:
    """A recipe's tree, or nothing when it cannot be read."""
    import yaml

    try:
        found = yaml.safe_load(content)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    rows: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            rows.update(flat(value, f"{prefix}{key}."))
        else:
            rows[f"{prefix}{key}"] = value
    return rows


def duration(seconds: float) -> str:
    """``45 s``, ``3 min 20 s``, ``2 h 5 min``; nothing for 0."""
    whole = round(seconds)
    if whole <= 0:
        return "" if seconds <= 0 else "under 1 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def weights(file: Path) -> int:
    """Number of values in a safetensors file, read from its header; 0 when it cannot be read."""
    from math import prod

    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as tensors:
            return sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    except (SafetensorError, OSError):
        return 0
