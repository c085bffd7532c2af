"""The built-in sample: eight generated families of proteins, made when they are asked for, the same on every machine.

A family has one random ancestor; a member is the ancestor with some residues replaced, taken out and put in, so that a hidden
residue follows from what is around it, and the family is a label. They are no real proteins.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from maskedmod.core.modality import Record

from .alphabets import FOLDSEEK_STATES, RESIDUES

FAMILIES = ("alder", "birch", "cedar", "elder", "hazel", "larch", "maple", "rowan")
SIZES = {"train": 768, "val": 96}
SHARES = np.array([9.9, 8.3, 7.1, 6.9, 6.6, 6.2, 5.5, 5.4, 5.9, 5.4, 4.7, 5.8, 3.9, 4.1, 3.9, 2.9, 2.4, 2.3, 1.1, 1.4])
"""Per cent of each residue in nature, about, in the order of ``RESIDUES``."""
SUBSTITUTED, REMOVED, INSERTED = (0.05, 0.35), 0.02, 0.02


def records(split: str, structure: bool = False) -> list[Record]:
    """``train`` 768 proteins, ``val`` 96 others; labels are the names of ``FAMILIES``, evenly spread. ``structure``: every
    residue is followed by a letter of a made-up structure, which all members of a family share."""
    if split not in SIZES:
        raise ValueError(f"split is {split!r}; expected train or val")
    found = []
    for i in range(SIZES[split]):
        family = i % len(FAMILIES)
        draw = np.random.default_rng((11, list(SIZES).index(split), i))
        text = member(family, draw, structure)
        found.append(Record(text, f"demo {split} {i} ({FAMILIES[family]})", FAMILIES[family]))
    return found


def member(family: int, draw: np.random.Generator, structure: bool = False) -> str:
    """One descendant of a family's ancestor: 5 to 35 % of its residues replaced, 2 % taken out, 2 % put in."""
    residues, states = _ancestor(family)
    share = SHARES / SHARES.sum()
    rate = draw.uniform(*SUBSTITUTED)
    new = draw.choice(20, len(residues), p=share)
    residues = np.where(draw.random(len(residues)) < rate, new, residues)
    kept = draw.random(len(residues)) >= REMOVED
    residues, states = residues[kept], states[kept]
    places = np.flatnonzero(draw.random(len(residues)) < INSERTED)
    residues = np.insert(residues, places, draw.choice(20, len(places), p=share))
    states = np.insert(states, places, states[places])
    letters = [RESIDUES[i] for i in residues]
    if structure:
        return "".join(a + FOLDSEEK_STATES[b] for a, b in zip(letters, states, strict=True))
    return "".join(letters)


@lru_cache(maxsize=len(FAMILIES))
def _ancestor(family: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Residues and structure states int64 ``[n]`` of a family's ancestor, 60 to 130 places; states come in runs."""
    draw = np.random.default_rng((12, family))
    length = int(draw.integers(60, 131))
    residues = draw.choice(20, length, p=SHARES / SHARES.sum())
    states = np.repeat(draw.integers(20, size=length), draw.integers(3, 9, size=length))[:length]
    return residues, states
