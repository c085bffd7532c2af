"""The built-in sample: molecules of the National Cancer Institute that come with RDKit. No download."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from maskedmod.core.modality import BadSample, Record
from maskedmod.data.sources import split_by_hash
from maskedmod.errors import UserError
from maskedmod.support.compat import require

from .chemistry import canonical, parse

HELD_OUT = 0.1


def records(split: str) -> Sequence[Record]:
    """About 4,500 training and 500 validation records: SMILES as published, keys ``first_5K.smi row 17`` (from 1), label the
    polar surface area in square angstrom that RDKit's own table gives. Rows that RDKit cannot read are left out (8 of 4,999
    with RDKit 2026.9); the same molecule is never in both parts. UserError when RDKit's data are not installed."""
    if split not in ("train", "val"):
        raise UserError(f"the built-in molecules have the splits train and val, not {split!r}")
    return _both()[split]


@cache
def _both() -> dict[str, list[Record]]:
    folder = Path(require("rdkit.RDConfig", "molecule").RDDataDir) / "NCI"
    try:
        lines = (folder / "first_5K.smi").read_text().splitlines()
        with (folder / "first_5k.tpsa.csv").open(newline="") as file:
            areas = {row[0]: float(row[1]) for row in csv.reader(file) if len(row) == 2 and not row[0].startswith("#")}
    except OSError as error:
        raise UserError(f"RDKit's sample molecules are not installed: {error}") from None
    found: list[Record] = []
    names: list[str] = []
    for number, line in enumerate(lines, 1):
        smiles = line.split()[0] if line.strip() else ""
        try:
            names.append(canonical(parse(smiles)))
        except BadSample:
            continue
        found.append(Record(smiles, f"first_5K.smi row {number}", areas.get(smiles)))
    train, val = split_by_hash(names, HELD_OUT)
    return {"train": [found[i] for i in train], "val": [found[i] for i in val]}
