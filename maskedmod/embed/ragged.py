"""Output files of sequences that keep a vector for every token: rows differ in length, and nothing is padded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.embed.parts import Parts
from maskedmod.support.compat import require

Shape = tuple[int, ...]


def _parquet(path: Path, parts: Parts, shape: Shape, about: dict[str, Any]) -> None:
    """Columns ``key``, ``label`` (when there are any), ``rejected`` and ``features``, a list of vectors; null when rejected."""
    arrow, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    kind, label = label_type(arrow, parts)
    vectors = arrow.list_(arrow.list_(arrow.float32(), shape[-1]))
    fields = [("key", arrow.string()), ("label", kind), ("rejected", arrow.string()), ("features", vectors)]
    schema = arrow.schema([field for field in fields if field[1] is not None], {"maskedmod": json.dumps(about)})
    with parquet.ParquetWriter(path, schema, use_dictionary=False, write_statistics=False) as file:
        for part in parts:
            ends = np.cumsum([0, *(row.length or 0 for row in part.rows)])
            flat = arrow.FixedSizeListArray.from_arrays(arrow.array(part.good.reshape(-1)), shape[-1])
            missing = arrow.array([row.length is None for row in part.rows])
            lists = arrow.ListArray.from_arrays(arrow.array(ends, arrow.int32()), flat, mask=missing)
            columns = {"key": [r.key for r in part.rows], "rejected": [r.rejected for r in part.rows], "features": lists}
            columns["label"] = [None if r.label is None else label(r.label) for r in part.rows]
            file.write_table(arrow.table({name: columns[name] for name in schema.names}, schema=schema))


def _safetensors(path: Path, parts: Parts, shape: Shape, about: dict[str, Any]) -> None:
    """Tensors ``cu_seqlens`` int64 ``[rows + 1]`` and ``features`` float32 ``[T, D]``: row i has those from ``cu_seqlens[i]`` to
    ``cu_seqlens[i + 1]``, none when it was rejected. Written part by part, as they come."""
    ends = np.cumsum([0, *(row.length or 0 for row in parts.rows())]).astype("<i8")
    whole = [int(ends[-1]), shape[-1]]
    entries = {
        "__metadata__": {"maskedmod": json.dumps(about)},
        "cu_seqlens": {"dtype": "I64", "shape": [len(ends)], "data_offsets": [0, ends.nbytes]},
        "features": {"dtype": "F32", "shape": whole, "data_offsets": [ends.nbytes, ends.nbytes + 4 * whole[0] * whole[1]]},
    }
    head = json.dumps(entries).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head + ends.tobytes())
        for part in parts:
            if part.good.size:
                file.write(part.good.astype("<f4", copy=False).tobytes())


def label_type(arrow: Any, parts: Parts) -> tuple[Any, Callable[[Any], Any]]:
    """Integers, numbers or text, whichever holds all labels; None when no row has one."""
    kinds = {type(row.label) for row in parts.rows()} - {type(None)}
    if not kinds:
        return None, str
    if kinds <= {int, bool}:
        return arrow.int64(), int
    return (arrow.float64(), float) if kinds <= {int, float, bool} else (arrow.string(), str)


RAGGED: dict[str, Callable[[Path, Parts, Shape, dict[str, Any]], None]] = {".parquet": _parquet, ".safetensors": _safetensors}
