"""Text files of numbers, a row a line, separated by commas or blanks."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.errors import UserError


def integers(path: Path) -> np.ndarray[Any, Any]:
    """int64 ``[rows, columns]``. UserError names the first row (from 1) that is not of integers, or of another width."""
    return _read(path, np.int64)


def numbers(path: Path) -> np.ndarray[Any, Any]:
    """float64 ``[rows, columns]``. UserError names the first row (from 1) that is not of numbers, or of another width."""
    return _read(path, np.float64)


def _read(path: Path, kind: Any) -> np.ndarray[Any, Any]:
    """Plain, or gzip by the name. Lines at the end that are blank are none; a cell between commas that is empty is no number."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = [_blanks(line) for line in content.decode("utf-8-sig").rstrip().splitlines()]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if not lines:
        return np.zeros((0, 1), kind)
    columns = len(lines[0].split())
    try:
        flat = np.array(" ".join(lines).split(), kind)
    except (ValueError, OverflowError):
        flat = np.zeros(0, kind)
    if columns and len(flat) == columns * len(lines) and all(len(line.split()) == columns for line in lines):
        return flat.reshape(len(lines), columns)
    raise UserError(_first_wrong(path, lines, columns, kind))


def _blanks(line: str) -> str:
    """Cells separated by blanks; an empty one is ``nan``."""
    return " ".join(cell.strip() or "nan" for cell in line.split(",")) if "," in line else line


def _first_wrong(path: Path, lines: list[str], columns: int, kind: Any) -> str:
    what = "whole numbers" if kind is np.int64 else "numbers"
    for row, line in enumerate(lines, 1):
        try:
            if len(np.array(line.split(), kind)) == columns > 0:
                continue
        except (ValueError, OverflowError):
            pass
        return f"{path} row {row} is {line[:60]!r}; expected {max(columns, 1)} {what}"
    return f"{path} cannot be read as {what}"
