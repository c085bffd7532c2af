"""Cells of a table: which column holds the signal, which the label, and what a cell is as data of a record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.core.modality import Modality
from maskedmod.errors import UserError, unknown

LABELS = ("label", "labels", "fine_label", "category", "class", "target")


def signal_column(names: Sequence[str], wanted: str | None, modality: Modality, where: str) -> str:
    """``wanted``, or the first of the modality's usual names. UserError lists what the table has."""
    if wanted is not None:
        if wanted not in names:
            raise unknown("column", wanted, names, f"in {where}")
        return wanted
    for name in modality.columns:
        if name in names:
            return name
    usual = ", ".join(modality.columns) or "none"
    raise UserError(f"{where}: no column called {usual}; it has {', '.join(names)}; say which with data.column=NAME")


def label_column(names: Sequence[str], wanted: str | None, where: str) -> str | None:
    """``wanted``, or the first usual name that the table has, or None."""
    if wanted is not None and wanted not in names:
        raise unknown("column", wanted, names, f"in {where}")
    return wanted if wanted is not None else next((name for name in LABELS if name in names), None)


def cell(value: Any, folder: Path | None, text: bool = False) -> Any:
    """Data of a record from a cell: ``{bytes, path}`` gives the bytes, or the path when they are absent (relative ones lie in
    ``folder``); text is a path, or with ``text`` the sample itself; lists of numbers become arrays; anything else stays."""
    if text and isinstance(value, str):
        return value
    if isinstance(value, dict) and "bytes" in value:
        value = value["bytes"] if value["bytes"] is not None else value.get("path")
    if isinstance(value, str):
        return folder / value if folder is not None else Path(value)
    if isinstance(value, list):
        return np.asarray(value)
    return value
