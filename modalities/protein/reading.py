"""From the letters of a protein to ids, saying what was altered on the way and refusing what is no amino acid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from maskedmod.core.modality import BadSample, altered

from .alphabets import FOLDSEEK_RESIDUES, FOLDSEEK_STATES, RARE, RESIDUES, Name, alphabet

Ids = np.ndarray[Any, Any]
LETTERS = RESIDUES + RARE
_DROP, _BAD = -1, -2


@dataclass(frozen=True)
class Rules:
    """How letters are read. ``name``: of the alphabet. ``gaps``: ``-`` and ``.`` are dropped, or kept as tokens (esm).
    ``rare``: B, Z, U and O keep their own ids, or become X as for ProtBert.

    Lower case is read as upper case; ``J`` (leucine or isoleucine) and ``*`` inside a sequence become X; ``*`` at its end (a
    stop) and white space are dropped. Each of these is told by ``altered``. Anything else, digits included, is a BadSample that
    names the letter and its place. A ``saprot`` sequence is written in pairs of residue and structure: ``MdEvVp``, ``#`` unknown.
    """

    name: Name = "esm"
    gaps: Literal["drop", "keep"] = "drop"
    rare: Literal["keep", "x"] = "keep"

    def encode(self, data: Any) -> Ids:
        """Text or ASCII bytes -> ids int16 ``[n]`` without cls and eos. BadSample as said above, or when nothing is left."""
        letters = _letters(data)
        return self._pairs(letters) if self.name == "saprot" else self._single(letters)

    def _single(self, letters: Ids) -> Ids:
        ids, odd = self._table[letters], self._odd[letters]
        if odd.any():
            if (ids == _BAD).any():
                raise _refused(letters, int((ids == _BAD).argmax()))
            ids = self._told(letters, ids)
        if not len(ids):
            raise BadSample("the sequence is empty" if not len(letters) else "the sequence has no residue, only gaps or stops")
        return ids

    def _told(self, letters: Ids, ids: Ids) -> Ids:
        """Say what was altered, and take out what is dropped."""
        residues = np.flatnonzero(~np.isin(letters, _codes("* \t\r\n")))
        last = residues[-1] if len(residues) else -1
        stops = letters == ord("*")
        tail = stops & (np.arange(len(letters)) > last)
        gap, space = np.isin(letters, _codes("-.")), np.isin(letters, _codes(" \t\r\n"))
        lower = (letters >= ord("a")) & (letters <= ord("z"))
        for found, text in (
            (lower, "lower case read as upper case"),
            (tail, "stop (*) at the end dropped"),
            (stops & ~tail, "stop (*) inside read as X"),
            (gap & (self.gaps == "drop"), "gaps dropped"),
            (np.isin(letters, _codes("Jj")), "J read as X"),
            (np.isin(letters, _codes("BZUObzuo")) & (self.rare == "x"), "B, Z, U or O read as X"),
            (space, "white space dropped"),
        ):
            if found.any():
                altered(f"{text}: {int(found.sum())}")
        return ids[(ids != _DROP) & ~tail]

    def _pairs(self, letters: Ids) -> Ids:
        if len(letters) == 0:
            raise BadSample("the sequence is empty")
        if len(letters) % 2:
            raise BadSample(f"{len(letters)} letters: a sequence of pairs (residue, structure) has an even number; # is unknown")
        residue, state = self._residues[letters[::2]], self._states[letters[1::2]]
        bad = (residue < 0) | (state < 0)
        if bad.any():
            raise _refused(letters[::2] if residue[bad.argmax()] < 0 else letters[1::2], int(bad.argmax()))
        rare = int((np.isin(letters[::2], _codes(RARE + "J"))).sum())
        if rare:
            altered(f"X, B, Z, U, O or J read as #: {rare}")
        return (5 + residue * len(FOLDSEEK_STATES) + state).astype(np.int16)

    @cached_property
    def _table(self) -> Ids:
        """Id of every byte, or that it is dropped or refused."""
        index = alphabet(self.name).index
        table = np.full(256, _BAD, np.int16)
        for letter in LETTERS:
            other = "X" if self.rare == "x" and letter in RARE else letter
            table[[ord(letter), ord(letter.lower())]] = index[other]
        table[_codes("Jj*")] = index["X"]
        table[_codes(" \t\r\n-.")] = _DROP
        if self.gaps == "keep":
            for letter in "-.":
                table[ord(letter)] = index[letter]
        return table

    @cached_property
    def _odd(self) -> Ids:
        """Bytes that need a closer look."""
        odd = np.ones(256, bool)
        odd[_codes(RESIDUES + ("X" if self.rare == "x" else RARE))] = False
        return odd

    @cached_property
    def _residues(self) -> Ids:
        table = _places(FOLDSEEK_RESIDUES)
        table[_codes(RARE + "J")] = FOLDSEEK_RESIDUES.index("#")
        return table

    @cached_property
    def _states(self) -> Ids:
        return _places(FOLDSEEK_STATES)


def _letters(data: Any) -> Ids:
    """Bytes of a text, one a letter."""
    if isinstance(data, str):
        if not data.isascii():
            place = next(i for i, letter in enumerate(data) if ord(letter) > 127)
            raise BadSample(f"{data[place]!r} at place {place + 1} is no amino acid")
        data = data.encode("ascii")
    if not isinstance(data, bytes | bytearray):
        raise BadSample(f"{type(data).__name__} is no protein: expected its letters as text")
    return np.frombuffer(bytes(data), np.uint8)


def _refused(letters: Ids, place: int) -> BadSample:
    letter = chr(letters[place])
    what = "a digit, and " if letter.isdigit() else ""
    return BadSample(f"{letter!r} at place {place + 1} is {what}no amino acid")


def _codes(letters: str) -> list[int]:
    return [ord(letter) for letter in letters]


def _places(letters: str) -> Ids:
    table = np.full(256, -1, np.int64)
    table[_codes(letters)] = np.arange(len(letters))
    return table
