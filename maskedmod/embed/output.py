"""From finished parts to the output file and the files beside it; one part in memory at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.embed.parts import Parts
from maskedmod.embed.ragged import RAGGED, label_type
from maskedmod.embed.reading import Row
from maskedmod.errors import UserError
from maskedmod.support.compat import require

Shape = tuple[int, ...]


def beside(output: Path, kind: str) -> Path:
    """``features.npy`` -> ``features.npy.<kind>``."""
    return output.with_name(f"{output.name}.{kind}")


def write(output: Path, parts: Parts, shape: Shape, plan: dict[str, Any]) -> dict[str, int]:
    """Write the side files, then the output; nothing is there under its name before it is complete. -> numbers of rows, rejected
    and altered rows. UserError where samples differ in length and the format has no room for that."""
    if parts.ragged and output.suffix not in RAGGED:
        raise UserError(f"output {output}: samples differ in length; pool=none needs a name that ends in {', '.join(RAGGED)}")
    counts = _side_files(output, parts)
    about = {**plan, "rows": counts["rows"], "shape": list(shape)}
    partial = output.with_name(f".{output.name}.part")
    (RAGGED if parts.ragged else WRITERS)[output.suffix](partial, parts, shape, about)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(output)
    return counts


def _side_files(output: Path, parts: Parts) -> dict[str, int]:
    counts = {"rows": 0, "rejected": 0, "altered": 0}
    kinds = ("rejected.jsonl",) if output.suffix == ".parquet" else ("rejected.jsonl", "rows.jsonl")
    files = {kind: beside(output, f"{kind}.part").open("w", encoding="utf-8") for kind in kinds}
    for number, row in enumerate(parts.rows()):
        counts["rows"] += 1
        if "rows.jsonl" in files:
            files["rows.jsonl"].write(json.dumps({"row": number, "key": row.key, "label": row.label}) + "\n")
        for what, reason in _remarks(row):
            files["rejected.jsonl"].write(json.dumps({"row": number, "key": row.key, "what": what, "reason": reason}) + "\n")
        counts["rejected"] += row.rejected is not None
        counts["altered"] += bool(row.altered) and row.rejected is None
    for kind, file in files.items():
        file.close()
        beside(output, f"{kind}.part").replace(beside(output, kind))
    return counts


def _remarks(row: Row) -> list[tuple[str, str]]:
    if row.rejected is not None:
        return [("rejected", row.rejected)]
    return [("altered", "; ".join(row.altered))] if row.altered else []


def _npy(path: Path, parts: Parts, shape: Shape, about: dict[str, Any]) -> None:
    with path.open("wb") as file:
        whole = {"descr": "<f4", "fortran_order": False, "shape": (about["rows"], *shape)}
        np.lib.format.write_array_header_1_0(file, whole)
        for block in _blocks(parts, shape):
            file.write(block)


def _safetensors(path: Path, parts: Parts, shape: Shape, about: dict[str, Any]) -> None:
    """One tensor ``features``. The format is a length, a JSON header and the bytes, so it can be written as they come."""
    whole = [about["rows"], *shape]
    entry = {"dtype": "F32", "shape": whole, "data_offsets": [0, 4 * int(np.prod(whole))]}
    head = json.dumps({"__metadata__": {"maskedmod": json.dumps(about)}, "features": entry}).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for block in _blocks(parts, shape):
            file.write(block)


def _blocks(parts: Parts, shape: Shape) -> Iterator[bytes]:
    for part in parts:
        yield part.filled(shape).astype("<f4", copy=False).tobytes()


def _parquet(path: Path, parts: Parts, shape: Shape, about: dict[str, Any]) -> None:
    """Columns ``key``, ``label`` (when there are any), ``rejected`` and ``features``, a row group per part."""
    arrow, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    kind, label = label_type(arrow, parts)
    features = arrow.float32()
    for size in reversed(shape):
        features = arrow.list_(features, size)
    fields = [("key", arrow.string()), ("label", kind), ("rejected", arrow.string()), ("features", features)]
    schema = arrow.schema([field for field in fields if field[1] is not None], {"maskedmod": json.dumps(about)})
    with parquet.ParquetWriter(path, schema, use_dictionary=False, write_statistics=False) as file:
        for part in parts:
            column = arrow.array(part.filled(shape).reshape(-1))
            for size in reversed(shape):
                column = arrow.FixedSizeListArray.from_arrays(column, size)
            columns = {"key": [r.key for r in part.rows], "rejected": [r.rejected for r in part.rows], "features": column}
            columns["label"] = [None if r.label is None else label(r.label) for r in part.rows]
            file.write_table(arrow.table({name: columns[name] for name in schema.names}, schema=schema))


WRITERS: dict[str, Callable[[Path, Parts, Shape, dict[str, Any]], None]] = {
    ".parquet": _parquet,
    ".npy": _npy,
    ".safetensors": _safetensors,
}


def check(output: Path) -> None:
    """UserError, before any work, for an ending that is none of ours, or a missing package or folder."""
    if output.suffix not in WRITERS:
        raise UserError(f"output {output}: expected a name that ends in {', '.join(WRITERS)}")
    if output.suffix == ".parquet":
        require("pyarrow", "data")
    output.parent.mkdir(parents=True, exist_ok=True)
