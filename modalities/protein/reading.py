"""From the letters of a protein to ids, saying what was altered on the way and refusing what is no amino acid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from maskedmod.core.alphabet import Alphabet
from maskedmod.core.modality import BadSample, altered
from maskedmod.sequences.strange import count_unknown

from .alphabets import FOLDSEEK_RESIDUES, FOLDSEEK_STATES, RARE, RESIDUES, alphabet, in_pairs

Ids = np.ndarray[Any, Any]
LETTERS = RESIDUES + RARE
_DROP, _BAD = -1, -2


@dataclass(frozen=True)
class Rules:
    """How letters are read. ``name``: of the alphabet, ``own``: one of a file in its place. ``gaps``: ``-`` and ``.`` are
    dropped, or kept as tokens (esm). ``rare``: B, Z, U and O keep their own ids, or become X as for ProtBert.

    Lower case is read as upper case; ``J`` (leucine or isoleucine) and ``*`` inside a sequence become X; ``*`` at its end (a
    stop) and white space are dropped. Each of these is told by ``altered``. Anything else, digits included, is a BadSample that
    names the letter and its place. A ``saprot`` sequence is written in pairs of residue and structure: ``MdEvVp``, ``#`` unknown.
    A letter of amino acids that the alphabet has not becomes X, else its unknown token, which is counted and told.
    """

    name: str = "esm"
    gaps: Literal["drop", "keep"] = "drop"
    rare: Literal["keep", "x"] = "keep"
    own: Alphabet | None = None

    @cached_property
    def letters(self) -> Alphabet:
        """The alphabet that is read with."""
        return alphabet(self.name) if self.own is None else self.own

    def encode(self, data: Any) -> Ids:
        """Text or ASCII bytes -> ids int16 ``[n]`` without cls and eos. BadSample as said above, or when nothing is left."""
        letters = _letters(data)
        return self._pairs(letters) if in_pairs(self.letters) else self._single(letters)

    def _single(self, letters: Ids) -> Ids:
        ids, odd = self._table[letters], self._odd[letters]
        if odd.any():
            if (ids == _BAD).any():
                raise _refused(letters, int((ids == _BAD).argmax()))
            ids = self._told(letters, ids)
        if not len(ids):
            raise BadSample("the sequence is empty" if not len(letters) else "the sequence has no residue, only gaps or stops")
        if self.letters.unk is not None:
            count_unknown(int((ids == self.letters.unk).sum()), len(ids), "is this a protein, and the vocabulary of this model?")
        return ids

    def _told(self, letters: Ids, ids: Ids) -> Ids:
        """Say what was altered, and take out what is dropped."""
        residues = np.flatnonzero(~np.isin(letters, _codes("* \t\r\n")))
        last = residues[-1] if len(residues) else -1
        stops = letters == ord("*")
        tail = stops & (np.arange(len(letters)) > last)
        gap, space = np.isin(letters, _codes("-.")), np.isin(letters, _codes(" \t\r\n"))
        has_x = "X" in self.letters.index
        lower = (letters >= ord("a")) & (letters <= ord("z"))
        for found, text in (
            (lower, "lower case read as upper case"),
            (tail, "stop (*) at the end dropped"),
            (stops & ~tail & has_x, "stop (*) inside read as X"),
            (gap & (self.gaps == "drop"), "gaps dropped"),
            (np.isin(letters, _codes("Jj")) & has_x, "J read as X"),
            (self._as_x[letters], "B, Z, U or O read as X"),
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
        ids: Ids = self._pair_ids[residue, state]
        if (ids < 0).any():
            raise _refused(letters[::2], int((ids < 0).argmax()))
        return ids

    @cached_property
    def _pair_ids(self) -> Ids:
        """Id of every residue with every state, or that of the unknown token; -1 where there is none."""
        index, unknown = self.letters.index, self.letters.unk
        found = [[index.get(r + s, -1 if unknown is None else unknown) for s in FOLDSEEK_STATES] for r in FOLDSEEK_RESIDUES]
        return np.array(found, np.int16)

    @cached_property
    def _place(self) -> dict[str, int]:
        """Id that each letter of amino acids is read as; -2 where the alphabet has neither it, X, nor an unknown token."""
        index, unknown = self.letters.index, self.letters.unk
        x = index.get("X", _BAD if unknown is None else unknown)
        return {letter: x if self.rare == "x" and letter in RARE else index.get(letter, x) for letter in LETTERS}

    @cached_property
    def _as_x(self) -> Ids:
        """Bytes of rare letters that become X."""
        table, x = np.zeros(256, bool), self.letters.index.get("X", _BAD)
        for letter in RARE[1:]:
            table[[ord(letter), ord(letter.lower())]] = self._place[letter] == x != _BAD
        return table

    @cached_property
    def _table(self) -> Ids:
        """Id of every byte, or that it is dropped or refused."""
        index = self.letters.index
        table = np.full(256, _BAD, np.int16)
        for letter, place in self._place.items():
            table[[ord(letter), ord(letter.lower())]] = place
        table[_codes("Jj*")] = self._place["X"]
        table[_codes(" \t\r\n-.")] = _DROP
        if self.gaps == "keep":
            for letter in "-.":
                table[ord(letter)] = index[letter]
        return table

    @cached_property
    def _odd(self) -> Ids:
        """Bytes that need a closer look."""
        odd = np.ones(256, bool)
        plain = [letter for letter in LETTERS if self._place[letter] == self.letters.index.get(letter)]
        odd[_codes("".join(plain))] = False
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
