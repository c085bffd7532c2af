"""Named splits into training, validation and test rows that keep groups (scaffolds, families) on one side.

Three rules are in use in the literature; their numbers must not be compared with one another:

``largest_first``  groups from the largest to the smallest fill training, then validation, then test: the same split always,
                   with the rare groups in the test part (DeepChem's ScaffoldSplitter; ``scaffold_split`` of Hu et al. 2020)
``shuffled``       groups in random order fill validation, then test, as long as they fit; the rest trains
                   (``random_scaffold_split`` of Hu et al. 2020)
``balanced``       groups larger than half of a small part train first; then all the others in random order fill training,
                   validation, test (chemprop, Yang et al. 2019; GROVER, Rong et al. 2020)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from maskedmod.errors import UserError

Rule = Literal["largest_first", "shuffled", "balanced"]
SHARES = (0.8, 0.1, 0.1)


@dataclass(frozen=True)
class Parts:
    """Rows of the three parts, sorted."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def random_parts(count: int, seed: int, shares: tuple[float, float, float] = SHARES) -> Parts:
    """Rows dealt out one by one, in an order drawn by the seed."""
    order = np.random.default_rng(seed).permutation(count)
    train, both = int(shares[0] * count), int((shares[0] + shares[1]) * count)
    return _parts(list(order[:train]), list(order[train:both]), list(order[both:]))


def grouped_parts(names: Sequence[str], rule: Rule, seed: int, shares: tuple[float, float, float] = SHARES) -> Parts:
    """Rows by the names of their groups. UserError when a part would be empty."""
    sets: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        sets.setdefault(name, []).append(row)
    groups = list(sets.values())
    if rule == "largest_first":
        ordered = sorted(groups, key=lambda rows: (len(rows), rows[0]), reverse=True)
        found = _in_turn(ordered, len(names), shares)
    elif rule == "shuffled":
        found = _rest_trains(_shuffle(groups, np.random.default_rng(seed)), len(names), shares)
    else:
        found = _balanced(groups, len(names), shares, np.random.default_rng(seed))
    if not all(len(rows) for rows in (found.train, found.val, found.test)):
        raise UserError(f"{len(groups)} groups of {len(names)} samples leave a part of the split empty")
    return found


def _in_turn(groups: list[list[int]], count: int, shares: tuple[float, float, float]) -> Parts:
    """Each group goes to the first part that it does not overfill, test taking what is left."""
    most_train, most_both = shares[0] * count, (shares[0] + shares[1]) * count
    train: list[int] = []
    val: list[int] = []
    test: list[int] = []
    for rows in groups:
        if len(train) + len(rows) <= most_train:
            train += rows
        elif len(train) + len(val) + len(rows) <= most_both:
            val += rows
        else:
            test += rows
    return _parts(train, val, test)


def _rest_trains(groups: list[list[int]], count: int, shares: tuple[float, float, float]) -> Parts:
    most_val, most_test = math.floor(shares[1] * count), math.floor(shares[2] * count)
    train: list[int] = []
    val: list[int] = []
    test: list[int] = []
    for rows in groups:
        if len(val) + len(rows) <= most_val:
            val += rows
        elif len(test) + len(rows) <= most_test:
            test += rows
        else:
            train += rows
    return _parts(train, val, test)


def _balanced(groups: list[list[int]], count: int, shares: tuple[float, float, float], rng: np.random.Generator) -> Parts:
    most = [share * count for share in shares]
    big = [rows for rows in groups if len(rows) > most[1] / 2 or len(rows) > most[2] / 2]
    small = [rows for rows in groups if not (len(rows) > most[1] / 2 or len(rows) > most[2] / 2)]
    parts: list[list[int]] = [[], [], []]
    for rows in [*_shuffle(big, rng), *_shuffle(small, rng)]:
        fits = [part for part in (0, 1) if len(parts[part]) + len(rows) <= most[part]]
        parts[fits[0] if fits else 2].extend(rows)
    return _parts(*parts)


def _shuffle(groups: list[list[int]], rng: np.random.Generator) -> list[list[int]]:
    return [groups[i] for i in rng.permutation(len(groups))]


def _parts(train: Sequence[int], val: Sequence[int], test: Sequence[int]) -> Parts:
    return Parts(*(np.sort(np.asarray(rows, dtype=np.int64)) for rows in (train, val, test)))
