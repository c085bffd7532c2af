"""``maskedmod embed``: from a checkpoint and an input to a file of features."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from maskedmod.core.model import MaskedModel
from maskedmod.data.sources import Records
from maskedmod.data.stream import RecordStream
from maskedmod.embed import output as files
from maskedmod.embed.parts import Part, Parts, put
from maskedmod.embed.ragged import RAGGED
from maskedmod.embed.reading import Portions, Read, Row, read_all
from maskedmod.errors import UserError
from maskedmod.features.opened import name_of, open_input
from maskedmod.features.reading import reading
from maskedmod.features.vectors import Features, Pool, features, tokens_of
from maskedmod.zoo.load import load

PART_BYTES = 1 << 26
"""Features of one part at most, as long as it holds one batch."""
PART_RECORDS = 1024


@dataclass(frozen=True)
class Embedded:
    """``rows`` in ``output`` in the order of the input, of which ``rejected`` are NaN and ``altered`` lost something in reading;
    ``listed``: the file that names both with reasons. ``resumed``: rows that an earlier run had finished. ``notes``: what the
    source says of the input: blank lines left out, names that occur twice."""

    output: Path
    listed: Path
    rows: int
    rejected: int
    altered: int
    resumed: int = 0
    notes: tuple[str, ...] = ()


def embed(
    checkpoint: str | Path,
    input: str | Path | None,
    output: str | Path,
    pool: Pool = "mean",
    layer: int | None = None,
    batch_size: int = 64,
    workers: int = 0,
    device: str | None = None,
    resume: bool = True,
    data: Sequence[str] = (),
    windows: Sequence[str] = (),
    how: Mapping[str, Any] | None = None,
    part_records: int | None = None,
) -> Embedded:
    """Features of every record of an input, in a ``.parquet``, ``.npy`` or ``.safetensors`` file.

    ``input``, ``data``: see ``open_input``. ``pool``, ``layer``: see ``Loaded.embed``. ``workers``: processes that decode.
    ``device``: a GPU when there is one. ``resume``: go on from the parts of an earlier run with the same settings; False
    begins anew, over an output that exists. ``windows``: see ``reading``. ``how`` the checkpoint is
    read: see ``zoo.load``. ``part_records``: input records per part (default: by
    size). Memory holds one part. UserError for settings that do not fit, an output of other settings, or an input of which
    nothing can be used.
    """
    target = Path(output)
    files.check(target)
    loaded = reading(load(checkpoint, **(how or {})), windows).to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if pool == "none" and loaded.modality.text and target.suffix not in RAGGED:
        raise UserError(f"output {target}: sequences differ in length; pool=none needs a name that ends in {', '.join(RAGGED)}")
    wanted = features(loaded.model.encoder, loaded.modality, pool, layer)
    given = None if input is None else str(input)
    records, notes = open_input(given, data, loaded.tree, loaded.modality)
    chunk = part_records or _chunk(loaded.model, wanted, batch_size)
    plan = {
        "checkpoint": str(checkpoint),
        "weights": _digest(loaded.model.encoder),
        "input": name_of(given, data),
        "records": None if isinstance(records, RecordStream) else len(records),
        "pool": pool,
        "layer": layer,
        "batch_size": batch_size,
        "part_records": chunk,
        **({"windows": sorted(windows)} if windows else {}),
        **({"how": dict(how)} if how else {}),
    }
    done = _finished(target, plan, resume)
    if done is not None:
        return done
    parts = Parts(files.beside(target, "parts"), plan, resume)
    resumed = sum(1 for _ in parts.rows())
    portions = Portions(records, loaded.modality, batch_size, chunk, parts.count)
    _compute(loaded.model, wanted, portions, parts, workers)
    return _close(target, parts, plan, resumed, notes)


def _compute(model: MaskedModel, wanted: Features, portions: Portions, parts: Parts, workers: int) -> None:
    rows: list[Row] = []
    found: list[np.ndarray[Any, Any]] = []
    with tqdm(total=_total(portions.records), unit="input", initial=portions.start * portions.chunk, disable=None) as bar:
        for item in read_all(portions, workers):
            rows += item.rows
            if item.batch is not None:
                found.append(_features(model, wanted, item))
            if item.portion.last:
                parts.write(item.portion.part, Part(rows, _joined(found)))
                rows, found = [], []
            bar.update(item.portion.inputs)


@torch.no_grad()
def _features(model: MaskedModel, wanted: Features, item: Read) -> np.ndarray[Any, Any]:
    assert item.batch is not None
    tokens = tokens_of(model.modality, item.batch, next(model.parameters()).device)
    if not (tokens.layout.packed and wanted.pool == "none"):
        return wanted(model.encoder, tokens, model.modality).float().cpu().numpy()
    latent = wanted.latent(model.encoder, tokens, model.modality)
    assert latent.layout.cu_seqlens is not None
    good = [row for row in item.rows if row.rejected is None]
    for row, length in zip(good, latent.layout.cu_seqlens.diff().tolist(), strict=True):
        row.length = length
    return latent.tokens.float().cpu().numpy()


def _joined(found: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    if len({each.shape[1:] for each in found}) > 1:
        raise UserError("samples have different numbers of tokens; pool=mean gives all one shape")
    return np.concatenate(found) if found else np.zeros((0,), np.float32)


def _close(target: Path, parts: Parts, plan: dict[str, Any], resumed: int, notes: list[str]) -> Embedded:
    shape = parts.shape()
    if shape is None:
        first = next(iter(parts.rows()), None)
        why = "it is empty" if first is None else f"{first.key}: {first.rejected}"
        raise UserError(f"nothing of the input {plan['input']} can be used; {why}")
    counts = files.write(target, parts, shape, plan)
    about = {**plan, **counts, "shape": list(shape), "notes": notes}
    put(files.beside(target, "meta.json"), json.dumps(about, indent=1).encode())
    parts.remove()
    return Embedded(target, files.beside(target, "rejected.jsonl"), **counts, resumed=resumed, notes=tuple(notes))


def _finished(target: Path, plan: dict[str, Any], resume: bool) -> Embedded | None:
    """An output that is complete already; UserError when it is of other settings."""
    about = files.beside(target, "meta.json")
    if not target.exists() or not resume or files.beside(target, "parts").exists():
        return None
    known = json.loads(about.read_text()) if about.is_file() else {}
    if any(known.get(key) != value for key, value in plan.items()):
        raise UserError(f"output {target} exists already and is of other settings; resume=never writes it anew")
    counts = {name: known[name] for name in ("rows", "rejected", "altered")}
    notes = tuple(known.get("notes", ()))
    return Embedded(target, files.beside(target, "rejected.jsonl"), **counts, resumed=counts["rows"], notes=notes)


def _chunk(model: MaskedModel, wanted: Features, batch_size: int) -> int:
    """Input records per part: whole batches of at most PART_BYTES of features."""
    if batch_size < 1:
        raise UserError(f"batch_size={batch_size}: must be at least 1")
    grid = model.modality.spec.grid or ((1024,) if model.modality.text else (1,))
    tokens = math.prod(grid) if wanted.pool == "none" else 1
    fitting = min(PART_RECORDS, PART_BYTES // (4 * tokens * model.encoder.width))
    return max(1, fitting // batch_size) * batch_size


def _total(records: Records) -> int | None:
    return records.samples if isinstance(records, RecordStream) else len(records)


def _digest(module: nn.Module) -> str:
    """Hash of the weights, so that parts of another checkpoint are never mixed in."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(module.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()
