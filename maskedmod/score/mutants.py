"""What mutants are: substitutions written as ``A24G`` or whole sequences, checked against the wild type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from maskedmod.score.letters import Letters

WILD = frozenset({"wt", "_wt", "wildtype", "wild type", "wild-type", "wild_type"})
"""Words for the wild type itself, in any case."""
FORM = re.compile(r"(\D)(-?\d+)(\D)")
SEPARATORS = re.compile(r"\s*[:,;_]\s*")

Kind = Literal["mutants", "sequences"]


class BadMutant(ValueError):  # noqa: N818
    """A mutant that does not fit the wild type; the message says why."""


@dataclass(frozen=True)
class Change:
    """At ``place`` (counted from 0) the letter ``old`` becomes ``new``."""

    place: int
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """``changes``: of the wild type, none for the wild type itself; None for a sequence of another length. ``ids`` int64 ``[n]``:
    the whole sequence without cls and eos."""

    changes: tuple[Change, ...] | None
    ids: Tensor


@dataclass(frozen=True)
class WildType:
    """``ids`` int64 ``[n]`` without cls and eos. ``offset``: the number of the first residue in the names of mutants."""

    ids: Tensor
    letters: Letters
    offset: int = 1

    @cached_property
    def text(self) -> str:
        return self.letters.text(self.ids)

    def mutant(self, name: str) -> Mutant:
        """``A24G``, several as ``A24G:C30D`` (or with ``,`` ``;`` ``_``), or a word for the wild type. BadMutant says what is
        wrong."""
        if name.strip().lower() in WILD:
            return Mutant((), self.ids)
        if not name.strip():
            raise BadMutant("the cell is empty; the wild type is written WT")
        changes = tuple(self._change(part) for part in SEPARATORS.split(name.strip()))
        places = [change.place for change in changes]
        if len(set(places)) < len(places):
            twice = next(place for place in places if places.count(place) > 1)
            raise BadMutant(f"{name} changes residue {twice + self.offset} twice")
        return self.changed(changes)

    def _change(self, part: str) -> Change:
        found = FORM.fullmatch(part)
        if found is None:
            raise BadMutant(f"{part!r} is no mutant; expected old residue, number and new residue: A24G, or A24G:C30D")
        old, number, new = found[1], int(found[2]), found[3]
        for letter in (old, new):
            if letter not in self.letters.place:
                raise BadMutant(f"{part}: {letter!r} is no residue; those of the model are {''.join(sorted(self.letters.names))}")
        place, text = number - self.offset, self.text
        if not 0 <= place < len(text):
            last = self.offset + len(text) - 1
            raise BadMutant(f"{part}: there is no residue {number}; the wild type has residues {self.offset} to {last}")
        if text[place] != old:
            raise BadMutant(f"{part}, but residue {number} is {text[place]}")
        return Change(place, old, new)

    def changed(self, changes: Sequence[Change]) -> Mutant:
        """The wild type with changes that fit it."""
        ids = self.ids.clone()
        for change in changes:
            ids[change.place] = self.letters.swapped(int(ids[change.place]), change.new)
        return Mutant(tuple(changes), ids)

    def sequence(self, ids: Tensor) -> Mutant:
        """A whole sequence. BadMutant where one of the same length differs in what is no letter."""
        if len(ids) != len(self.ids):
            return Mutant(None, ids)
        changes = []
        for place in (ids != self.ids).nonzero()[:, 0].tolist():
            old, new = (self.letters.of[int(x[place])] for x in (self.ids, ids))
            if old == new or not old or not new:
                raise BadMutant(f"place {place + self.offset} differs from the wild type in more than its residue")
            changes.append(Change(place, old, new))
        return Mutant(tuple(changes), ids)


def kind_of(cells: Sequence[str], column: str, usual: Sequence[str]) -> Kind:
    """Whole sequences where the column has a usual name of such (``usual``) or no cell has a digit, else mutants.
    Words for the wild type tell nothing beside other cells; alone they are mutants."""
    if column in usual:
        return "sequences"
    others = [cell for cell in cells if cell.strip() and cell.strip().lower() not in WILD]
    named = any(cell.strip().lower() in WILD for cell in cells)
    return "mutants" if any(map(str.isdigit, "".join(others))) or (named and not others) else "sequences"
