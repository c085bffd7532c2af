"""Text files with one text a line."""

from __future__ import annotations

from typing import ClassVar

from maskedmod.data.line_records import LineFiles


class Lines(LineFiles):
    """Every line that is not empty of a text file (``.txt``, ``.text``, also ``.gz``), or of all such files in a folder.

    Validation lines: those of ``val_path``; else a share ``val_fraction`` by a hash of file name and row number (0: none). Empty
    lines are left out and told. Keys are ``file row 17``, counted from 1.
    """

    endings: ClassVar[tuple[str, ...]] = (".txt", ".text")

    def __init__(self, path: str, val_path: str | None = None, val_fraction: float = 0.05) -> None:
        super().__init__(path, val_path, val_fraction, "none")
