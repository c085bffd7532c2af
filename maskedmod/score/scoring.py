"""Scores of given mutants of one wild type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from maskedmod.core.modality import BadSample, Record, changes
from maskedmod.errors import UserError, unknown
from maskedmod.features import inputs
from maskedmod.features.given import evaluating
from maskedmod.score import methods
from maskedmod.score.letters import Letters
from maskedmod.score.likelihood import BATCH_TOKENS, Likelihood
from maskedmod.score.methods import METHODS, WINDOWS, Method, Window
from maskedmod.score.mutants import BadMutant, Kind, Mutant, WildType, kind_of
from maskedmod.zoo.loaded import Loaded


@dataclass
class Scores:
    """``values`` float64 ``[n]``, one a mutant in their order, NaN for a rejected one. ``rejected``: number of a mutant -> why.
    ``notes``: what was altered in reading. ``window``: how long sequences were cut, in words."""

    values: np.ndarray[Any, Any]
    method: Method
    window: str
    rejected: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Subject:
    """What reads sequences for a model and computes on them; UserError for a model or settings that cannot."""

    def __init__(self, loaded: Loaded, method: Method, window: Window, batch_tokens: int = BATCH_TOKENS) -> None:
        if method not in METHODS:
            raise unknown("method", str(method), METHODS)
        if window not in WINDOWS:
            raise unknown("window", str(window), WINDOWS)
        self.loaded, self.method = loaded, method
        self.model = Likelihood(loaded.model, batch_tokens)
        self.letters = Letters(self.model.alphabet)
        self.limit: int | None = getattr(loaded.modality, "max_length", None)
        self.most = self.limit if window == "optimal" else None

    def read(self, text: str, key: str) -> tuple[Tensor, list[str]]:
        """int64 ids ``[n]`` without cls and eos, and what was altered. UserError names what cannot be read."""
        with changes() as heard:
            ids = _ids(self.loaded, inputs.read(self.loaded.modality, Record(text, key=key)))
        return self.model.inner(ids), [f"{key}: {change}" for change in heard]

    def wild_type(self, text: str, offset: int, key: str = "wild type") -> tuple[WildType, list[str]]:
        ids, notes = self.read(text, key)
        return WildType(ids, self.letters, offset), notes

    def windows(self, longest: int) -> str:
        """The rule for long sequences, and whether it was needed."""
        if self.most is None:
            return "full: every sequence seen whole"
        if longest <= self.most:
            return f"optimal: not needed, the longest sequence has {longest} of {self.most} residues"
        return f"optimal: {self.most} residues, with cls and eos, centred on the residue as nearly as the ends allow"

    def compute(self, wild: WildType | None, mutants: Sequence[Mutant]) -> list[float]:
        """A number for every mutant."""
        places = sorted({change.place for mutant in mutants for change in mutant.changes or ()})
        sequences = [mutant.ids for mutant in mutants]
        length = 0 if wild is None else len(wild.ids)
        total = methods.passes(self.method, places, sequences, length, self.most)
        with evaluating(self.loaded.model), progress(total, self.method) as bar:
            if self.method == "pseudo-perplexity":
                return methods.pseudo_perplexities(self.model, sequences, self.most, bar.update)
            assert wild is not None
            table = methods.marginals(self.model, self.letters, wild.ids, places, self.method, self.most, bar.update)
            return [methods.added(table, self.letters, mutant.changes or ()) for mutant in mutants]


def _ids(loaded: Loaded, sample: Any) -> Tensor:
    """int64 ids with their ends of a sample that was read: the ids themselves, or a text with what is known of it."""
    encode = getattr(loaded.modality, "encode", None)
    return torch.as_tensor(np.asarray(sample if encode is None else encode(sample[0]))).long()


def progress(total: int, method: str) -> AbstractContextManager[Any]:
    """A bar over passes of the model, on a terminal only."""
    return tqdm(total=total, unit="sequence", desc=method, disable=None, leave=False)


def score(
    loaded: Loaded,
    wildtype: str | None,
    mutants: Sequence[str],
    method: Method = "masked-marginals",
    window: Window = "optimal",
    offset: int = 1,
    kind: Kind | None = None,
    bad: str = "error",
    batch_tokens: int = BATCH_TOKENS,
    name: Callable[[int], str] = "mutant {}".format,
) -> Scores:
    """Score mutants of a wild type.

    ``wildtype``: its sequence; None only for pseudo-perplexities of whole sequences. ``mutants``: ``A24G``, several as
    ``A24G:C30D``, ``WT``, or whole sequences (``kind``: which; None: seen from them). ``offset``: the number of the wild type's
    first residue. ``method``: ``wt-marginals`` and ``masked-marginals`` are sums of ``log p(new) - log p(old)``, higher is
    likelier and the wild type 0; ``pseudo-perplexity`` is that of the mutant itself, lower is likelier.
    ``window``: of sequences longer than the model's ``max_length``, see ``methods.start``; ``full``: no cut. ``bad``: a mutant
    that does not fit is a UserError that names it (``error``), or NaN and listed (``skip``). ``name``: of a mutant in messages,
    by its number.
    """
    if bad not in ("error", "skip"):
        raise UserError(f"bad={bad!r}: accepted are error, skip")
    subject = Subject(loaded, method, window, batch_tokens)
    wild, notes = (None, []) if wildtype is None else subject.wild_type(wildtype, offset)
    kind = kind or kind_of(mutants, "", ())
    if wild is None and (kind == "mutants" or method != "pseudo-perplexity"):
        raise UserError("name the wild type: only pseudo-perplexities of whole sequences do without")
    found, rejected = _checked(subject, wild, mutants, kind, notes, name)
    if rejected and bad == "error":
        first = min(rejected)
        more = "" if len(rejected) == 1 else f"; {len(rejected)} of {len(mutants)} cannot be scored"
        raise UserError(f"{name(first)}: {rejected[first]}{more}; bad=skip leaves such out and lists them")
    values = np.full(len(mutants), np.nan)
    values[list(found)] = subject.compute(wild, list(found.values()))
    longest = max((len(ids) for ids in [*([] if wild is None else [wild.ids]), *(m.ids for m in found.values())]), default=0)
    return Scores(values, method, subject.windows(longest), rejected, notes)


def _checked(
    subject: Subject, wild: WildType | None, mutants: Sequence[str], kind: Kind, notes: list[str], name: Callable[[int], str]
) -> tuple[dict[int, Mutant], dict[int, str]]:
    """Mutants that fit, and why the others do not, by their number."""
    found: dict[int, Mutant] = {}
    rejected: dict[int, str] = {}
    for number, text in enumerate(mutants):
        try:
            if kind == "mutants":
                assert wild is not None
                found[number] = wild.mutant(text)
                continue
            found[number] = _sequence(subject, wild, text, notes, name(number))
        except BadMutant as error:
            rejected[number] = str(error)
    return found, rejected


def _sequence(subject: Subject, wild: WildType | None, text: str, notes: list[str], key: str) -> Mutant:
    try:
        with changes() as heard:
            sample = subject.loaded.modality.read(Record(text, key=key))
            ids = subject.model.inner(_ids(subject.loaded, sample))
    except BadSample as error:
        raise BadMutant(str(error)) from None
    notes += [f"{key}: {change}" for change in heard]
    mutant = Mutant(None, ids) if wild is None else wild.sequence(ids)
    if mutant.changes is None and subject.method != "pseudo-perplexity":
        length = 0 if wild is None else len(wild.ids)
        raise BadMutant(f"has {len(ids)} residues, the wild type {length}; other lengths need method=pseudo-perplexity")
    return mutant
