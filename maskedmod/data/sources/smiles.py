"""SMILES files: one molecule a line."""

from __future__ import annotations

from typing import ClassVar, Literal

from maskedmod.data.line_records import LineFiles


class Smiles(LineFiles):
    """Lines of a SMILES file (``.smi``, ``.smiles``, ``.txt``, ``.can``, ``.ism``, also ``.gz``), or of all such files in a
    folder: the string, then whatever follows the first blank or tab.

    ``rest``: what that is: ``name`` of the molecule, shown in messages, or its ``label``, a number or a word. Tables with named
    columns are read by data=csv and data=parquet.
    Validation lines: those of ``val_path``; else a share ``val_fraction`` by a hash of file name and row number (0: none). Empty
    lines are left out and told. Keys are ``file row 17``, counted from 1. A first line of column names is no molecule: it is a
    bad sample like any other that RDKit cannot read.
    """

    endings: ClassVar[tuple[str, ...]] = (".smi", ".smiles", ".txt", ".can", ".ism")

    def __init__(
        self,
        path: str,
        val_path: str | None = None,
        val_fraction: float = 0.05,
        rest: Literal["name", "label"] = "name",
    ) -> None:
        super().__init__(path, val_path, val_fraction, rest)
