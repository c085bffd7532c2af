"""Labels of single residues, as FLIP writes them: a second FASTA file with a letter for every residue."""

from __future__ import annotations

from pathlib import Path

from maskedmod.data.fasta import FastaIndex, index_file, name_of
from maskedmod.errors import UserError


class ResidueLabels:
    """``path``: records of the same names as the proteins', a letter for every residue (``HHHEEC``). ``known``: likewise, ``0``
    at residues whose label does not count (those without coordinates), any other letter at the rest; None: all count.
    UserError for a file that cannot be read or holds a name twice."""

    def __init__(self, path: str, known: str | None = None) -> None:
        self.letters = _Named(path)
        self.known = None if known is None else _Named(known)

    def header(self, name: str, key: str) -> str:
        """Header of the labels of a protein, which may say its part (``SET=test``)."""
        return self.letters.read(name, key)[0]

    def of(self, name: str, key: str) -> list[str | None]:
        """A letter or None for every residue. UserError, which begins with ``key``, where there are none or the files differ."""
        letters: list[str | None] = list(self.letters.read(name, key)[1])
        if self.known is None:
            return letters
        marks = self.known.read(name, key)[1]
        if len(marks) != len(letters):
            raise UserError(f"{key}: {len(letters)} labels in {self.letters.path}, {len(marks)} marks in {self.known.path}")
        return [None if mark == "0" else letter for letter, mark in zip(letters, marks, strict=True)]


class _Named:
    """Records of a FASTA file by name."""

    def __init__(self, path: str) -> None:
        if not Path(path).is_file():
            raise UserError(f"{path} does not exist; expected a FASTA file with a letter for every residue")
        self.path = path
        self.index: FastaIndex = index_file(Path(path))
        if self.index.repeats:
            name = name_of(self.index.read(min(self.index.repeats))[0])
            raise UserError(f"{path} has several records called {name}")
        self.places = {name_of(self.index.read(i)[0]): i for i in range(len(self.index))}

    def read(self, name: str, key: str) -> tuple[str, str]:
        if name not in self.places:
            raise UserError(f"{key}: {self.path} has no record of this name")
        return self.index.read(self.places[name])
