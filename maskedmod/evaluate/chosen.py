"""Some of the records of a data source, numbered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from maskedmod.core.modality import Record
from maskedmod.errors import UserError


class Chosen(Sequence[Record]):
    """Some records of several lists, each at ``places[i]`` = (list, number there); ``extra["row"]`` of a record says i."""

    def __init__(self, parts: Sequence[Sequence[Record]], places: Sequence[tuple[int, int]]) -> None:
        self.parts, self.places = parts, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        part, row = self.places[index]
        record = self.parts[part][row]
        return replace(record, extra={**record.extra, "row": index})


def draw(records: Any, count: int) -> Any:
    """``count`` records drawn with seed 0, in their order."""
    if not isinstance(records, Sequence):
        raise UserError("samples: a stream cannot be drawn from; leave it out")
    if len(records) <= count:
        return records
    rows = np.sort(np.random.default_rng(0).permutation(len(records))[:count])
    return Chosen([records], [(0, row) for row in rows.tolist()])
