"""The named conventions: which masked copies of a sequence are looked at, and what becomes of the answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
from torch import Tensor

from maskedmod.score.letters import Letters
from maskedmod.score.likelihood import Likelihood, Look
from maskedmod.score.mutants import Change

Method = Literal["wt-marginals", "masked-marginals", "pseudo-perplexity"]
METHODS: tuple[str, ...] = get_args(Method)
Window = Literal["optimal", "full"]
WINDOWS: tuple[str, ...] = get_args(Window)

Say = Callable[[int], object]
"""Called with the number of sequences that the model has seen since the last call."""


def start(place: int, length: int, most: int | None) -> int:
    """First residue of the window of ``most`` residues around a place: as nearly centred on it as the ends of the sequence allow
    (``get_optimal_window`` of ProteinGym, Notin et al. 2023, whose 1,024 tokens are 1,022 residues with cls and eos here)."""
    return 0 if most is None or length <= most else min(max(place - most // 2, 0), length - most)


def marginals(
    model: Likelihood, letters: Letters, ids: Tensor, places: Sequence[int], method: Method, most: int | None, say: Say
) -> np.ndarray[Any, Any]:
    """Log probability of every letter at the asked places of a wild type, float64 ``[n, len(letters.names)]``, elsewhere NaN.

    ``masked-marginals``: a pass for each place, which alone is hidden in it; ``wt-marginals``: one pass with nothing hidden (in a
    sequence longer than ``most``, one for each window). Meier et al. 2021, whose sums over several mutations these are.
    """
    table = np.full((len(ids), len(letters.names)), np.nan)
    looks, owners = [], []
    for first, group in _by_window(places, len(ids), most).items():
        window = ids[first : len(ids) if most is None else first + most]
        for own in [[place] for place in group] if method == "masked-marginals" else [group]:
            looks.append(Look(window, tuple(place - first for place in own), hidden=method == "masked-marginals"))
            owners.append(own)
    for own, found in zip(owners, model(looks), strict=True):
        table[own] = letters.log_probs(found).numpy()
        say(1)
    return table


def added(table: np.ndarray[Any, Any], letters: Letters, changes: Iterable[Change]) -> float:
    """Sum of ``log p(new) - log p(old)`` over the changes: 0 without any."""
    return math.fsum(table[c.place, letters.place[c.new]] - table[c.place, letters.place[c.old]] for c in changes)


def pseudo_perplexities(model: Likelihood, sequences: Sequence[Tensor], most: int | None, say: Say) -> list[float]:
    """``exp(-1/n sum_i log p(x_i | all others))`` of every sequence (Salazar et al. 2020): a pass for each residue, all
    residues counted, cls and eos not. Float64 sums; equal sequences are computed once."""
    distinct = {tuple(ids.tolist()): ids for ids in sequences}

    def looks() -> Iterator[Look]:
        for ids in distinct.values():
            for place in range(len(ids)):
                first = start(place, len(ids), most)
                yield Look(ids[first : len(ids) if most is None else first + most], (place - first,))

    answers = model(looks())
    known: dict[tuple[int, ...], float] = {}
    for key in distinct:
        total = []
        for token in key:
            total.append(float(next(answers)[0, token]))
            say(1)
        known[key] = math.exp(-math.fsum(total) / len(key))
    return [known[tuple(ids.tolist())] for ids in sequences]


def passes(method: Method, places: Sequence[int], sequences: Sequence[Tensor], length: int, most: int | None) -> int:
    """How many sequences the model will see."""
    if method == "pseudo-perplexity":
        return sum(len(key) for key in {tuple(ids.tolist()) for ids in sequences})
    return len(places) if method == "masked-marginals" else len(_by_window(places, length, most))


def _by_window(places: Sequence[int], length: int, most: int | None) -> dict[int, list[int]]:
    """Start of a window -> the places that it decides."""
    found: dict[int, list[int]] = {}
    for place in places:
        found.setdefault(start(place, length, most), []).append(place)
    return found
