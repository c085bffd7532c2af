"""The full single-site scan: every residue to every other one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.features.given import evaluating
from maskedmod.score import methods
from maskedmod.score.heat_map import heat_map
from maskedmod.score.likelihood import BATCH_TOKENS
from maskedmod.score.methods import Method, Window
from maskedmod.score.mutants import Change, WildType
from maskedmod.score.scoring import Subject, progress
from maskedmod.zoo.loaded import Loaded


@dataclass
class Scan:
    """``values`` float64 ``[n, len(residues)]``: the score of every residue at every place of ``wildtype``, as ``score`` gives it
    for that single mutant; at the wild type's own residue that of the wild type. ``offset``: the number of the first residue.
    With marginals, ``own`` float64 ``[n]``: log probability of the wild type's residues, and ``right``: at how many places no
    other residue is likelier."""

    values: np.ndarray[Any, Any]
    wildtype: str
    residues: tuple[str, ...]
    method: Method
    window: str
    offset: int = 1
    notes: list[str] = field(default_factory=list)
    own: np.ndarray[Any, Any] | None = None
    right: int | None = None

    def rows(self) -> Iterator[tuple[str, int, str, str, float]]:
        """``(A24G, 24, A, G, score)`` of every mutant, place by place, without the wild type."""
        for place, old in enumerate(self.wildtype):
            for column, new in enumerate(self.residues):
                if new != old:
                    number = place + self.offset
                    yield f"{old}{number}{new}", number, old, new, float(self.values[place, column])

    @property
    def pseudo_perplexity(self) -> float | None:
        """That of the wild type, each of its residues hidden alone; None for another method."""
        if self.own is None or self.method != "masked-marginals" or np.isnan(self.own).any():
            return None
        return math.exp(-math.fsum(self.own.tolist()) / len(self.own))

    def save(self, path: str | Path, title: str = "") -> None:
        """The heat map as a PNG."""
        heat_map(self, title).save(path, format="PNG")


def scan(
    loaded: Loaded,
    wildtype: str,
    method: Method = "masked-marginals",
    window: Window = "optimal",
    offset: int = 1,
    batch_tokens: int = BATCH_TOKENS,
) -> Scan:
    """Score all single mutants, 19 at each place of ``wildtype`` (20 where it has an unusual residue); arguments as in ``score``.

    Marginals take a pass for each place, or one in all; pseudo-perplexities take n passes for each of the 19 n mutants."""
    subject = Subject(loaded, method, window, batch_tokens)
    wild, notes = subject.wild_type(wildtype, offset)
    residues = tuple(subject.letters.standard)
    if method == "pseudo-perplexity":
        values, base, right = _one_by_one(subject, wild, residues), None, None
    else:
        places = range(len(wild.ids))
        total = methods.passes(method, places, [], len(wild.ids), subject.most)
        with evaluating(loaded.model), progress(total, method) as bar:
            table = methods.marginals(subject.model, subject.letters, wild.ids, places, method, subject.most, bar.update)
        own = [subject.letters.place.get(letter) for letter in wild.text]
        base = np.array([np.nan if column is None else table[i, column] for i, column in enumerate(own)])
        values = table[:, [subject.letters.place[letter] for letter in residues]] - base[:, None]
        right = int((table.max(1) <= base).sum())
    return Scan(values, wild.text, residues, method, subject.windows(len(wild.ids)), offset, notes, base, right)


def _one_by_one(subject: Subject, wild: WildType, residues: tuple[str, ...]) -> np.ndarray[Any, Any]:
    mutants = [
        wild.changed([] if new == old else [Change(place, old, new)]) for place, old in enumerate(wild.text) for new in residues
    ]
    return np.array(subject.compute(wild, mutants)).reshape(len(wild.ids), len(residues))
