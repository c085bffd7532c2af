"""Checkpoints: written so that a crash at any moment leaves the newest complete one readable.

A checkpoint is a folder ``step_00000100`` with ``model.safetensors`` (all weights and buffers, the EMA teacher among them),
``state.pt`` (optimisers; tensors and plain values only) and ``meta.json`` (schema version, step, checksums). It is written
under a temporary name, flushed to the disk and renamed at the end.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskedmod.errors import UserError

SCHEMA = 1
"""Version of the layout; raised when an older reader could not read it."""


def save(folder: Path, model: dict[str, Tensor], state: dict[str, Any], meta: dict[str, Any], keep: int) -> Path:
    """Write ``folder/step_<meta['step']>`` and drop the oldest beyond ``keep``. Raises UserError when the disk is full or
    cannot be written; earlier checkpoints are intact then."""
    name = f"step_{meta['step']:08d}"
    final, temporary = folder / name, folder / f".writing_{name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for rest in folder.glob(".writing_*"):
            shutil.rmtree(rest, ignore_errors=True)
        temporary.mkdir()
        _write(temporary, model, state, meta)
        if final.exists():
            shutil.rmtree(final)
        os.replace(temporary, final)
        _flush(folder)
    except Exception as error:  # safetensors, torch and the system each have errors of their own for a full disk
        shutil.rmtree(temporary, ignore_errors=True)
        raise _explain(error, final) from error
    for old in complete(folder)[: -max(1, keep)]:
        if old != final:
            shutil.rmtree(old, ignore_errors=True)
    return final


def _write(into: Path, model: dict[str, Tensor], state: dict[str, Any], meta: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    save_file(_unshared(model), into / "model.safetensors", metadata={"format": "pt"})
    with (into / "state.pt").open("wb") as file:
        torch.save(state, file)
    sums = {}
    for name in ("model.safetensors", "state.pt"):
        _flush(into / name)
        sums[name] = {"bytes": (into / name).stat().st_size, "sha256": _digest(into / name)}
    with (into / "meta.json").open("w") as file:
        json.dump({"schema": SCHEMA, **meta, "files": sums}, file, indent=1)
    _flush(into / "meta.json")
    _flush(into)


def complete(folder: Path) -> list[Path]:
    """Checkpoints of a run, oldest first; unfinished ones have another name and do not count."""
    return sorted(path for path in folder.glob("step_*") if path.is_dir()) if folder.is_dir() else []


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]:
    """-> model tensors, optimiser state, meta. Raises UserError that names the file when one is missing, cut or altered."""
    meta = load_meta(path)
    for name in ("model.safetensors", "state.pt"):
        _verify(path / name, meta["files"].get(name, {}))
    model = load_model(path)
    try:
        state = torch.load(path / "state.pt", map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load has no error of its own for a damaged file
        raise UserError(f"checkpoint {path / 'state.pt'} cannot be read: {error}") from error
    return model, state, meta


def load_model(path: Path) -> dict[str, Tensor]:
    """Tensors of ``model.safetensors`` in a checkpoint folder."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path / "model.safetensors")
    except (SafetensorError, OSError) as error:
        raise UserError(f"checkpoint {path / 'model.safetensors'} cannot be read: {error}") from error


def load_meta(path: Path) -> dict[str, Any]:
    """``meta.json`` of a checkpoint, its schema version checked."""
    file = path / "meta.json"
    try:
        meta = json.loads(file.read_text())
        schema = int(meta["schema"])
        int(meta["step"]), meta["files"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"checkpoint {file} cannot be read: {error}") from error
    if schema > SCHEMA:
        raise UserError(f"checkpoint {file} has schema version {schema}; this version reads up to {SCHEMA}: update maskedmod")
    return dict(meta)


def newest(folder: Path) -> tuple[Path | None, list[str]]:
    """Newest checkpoint that is whole, and a message for every newer one that is damaged; these are renamed, so that they
    no longer count. Raises UserError when all are damaged: a run must not start anew over them."""
    messages: list[str] = []
    for path in reversed(complete(folder)):
        try:
            for name, expected in load_meta(path)["files"].items():
                _verify(path / name, expected)
            for damaged in complete(folder)[len(complete(folder)) - len(messages) :]:
                damaged.rename(damaged.with_name(f"damaged_{damaged.name}"))
            return path, messages
        except UserError as error:
            messages.append(str(error))
    if messages:
        raise UserError(f"no checkpoint in {folder} is whole ({'; '.join(messages)}); delete the folder to start anew")
    return None, []


def _verify(file: Path, expected: dict[str, Any]) -> None:
    if not file.is_file():
        raise UserError(f"checkpoint {file} is missing")
    size = file.stat().st_size
    if size != expected.get("bytes"):
        raise UserError(f"checkpoint {file} is damaged: {size} bytes, {expected.get('bytes')} were written")
    if _digest(file) != expected.get("sha256"):
        raise UserError(f"checkpoint {file} is damaged: its checksum is not the one that was written")


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unshared(model: dict[str, Tensor]) -> dict[str, Tensor]:
    """safetensors refuses tensors that share memory (tied weights): every name gets its own copy."""
    seen: set[int] = set()
    alone = {}
    for name, tensor in model.items():
        tensor = tensor.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        alone[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return alone


def _explain(error: Exception, final: Path) -> UserError:
    full = (isinstance(error, OSError) and error.errno == errno.ENOSPC) or "No space left" in str(error)
    reason = "the disk is full" if full else f"{type(error).__name__}: {error}"
    before = ""
    with contextlib.suppress(OSError):
        left = complete(final.parent)
        before = f"; the checkpoint {left[-1].name} is intact" if left else "; there is no earlier checkpoint"
    return UserError(f"checkpoint {final} could not be written: {reason}{before}")
