"""The scaffold splits of the literature, which are four different ones; see docs/molecule.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from maskedmod.core.modality import Grouping, Record

from .chemistry import scaffold


def scaffold_splits(smiles: Callable[[Record], str]) -> Mapping[str, Grouping]:
    """By name; ``smiles`` gives the string of a record."""

    def flat(record: Record) -> str:
        return scaffold(smiles(record), False)

    def chiral(record: Record) -> str:
        return scaffold(smiles(record), True)

    return {
        "scaffold_deepchem": Grouping(flat, "largest_first"),
        "scaffold_pretrain_gnns": Grouping(chiral, "largest_first"),
        "scaffold_random": Grouping(chiral, "shuffled"),
        "scaffold_balanced": Grouping(flat, "balanced"),
    }
