"""Read a file or folder of weights: tensors by name, and whatever plain settings lie beside them. No code of the file runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskedmod.errors import UserError, one_line

WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Names looked for in a folder, in this order."""

_MAIN = ("model", "state_dict", "module")


@dataclass(frozen=True)
class Source:
    """What a file holds. ``weights`` by key, with the prefix ``module.`` of wrapped models removed; a dict of tensors called
    ``model`` or ``state_dict`` gives plain keys, any other one (``encoder``, ``model_ema``) gives keys ``name.key``.
    ``args``: the settings of the run that wrote it. ``config``: ``config.json`` and ``preprocessor_config.json`` beside it.
    ``extras``: names of everything else (optimiser state, epoch), which is not needed."""

    path: Path
    weights: dict[str, Tensor]
    args: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    extras: tuple[str, ...] = ()


def read(path: str | Path) -> Source:
    """A ``.safetensors`` or PyTorch file (``.pth``, ``.pt``, ``.bin``), or a folder that holds one beside a ``config.json``.
    Raises UserError when it is missing, cut off, or holds more than plain data."""
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in WEIGHT_FILES if (path / name).is_file()]
        if not found:
            names = " or ".join(WEIGHT_FILES[::2])
            raise UserError(f"{path}: no weights in this folder; expected recipe.yaml of a run, or {names}")
        path = found[0]
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder{_meant(path)}")
    if path.suffix == ".json":
        content = _sharded(path)
    else:
        content = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    weights, extras = _flatten(path, content)
    if path.suffix == ".pt" and (beside := _beside(path)):
        weights.update(_flatten(path, beside)[0])
    return Source(path, weights, _args(content), _config(path), extras)


def _args(content: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the run: ``args``, or ``cfg["model"]`` of newer fairseq."""
    args = content.get("args")
    if args is None and isinstance(content.get("cfg"), Mapping):
        args = content["cfg"].get("model")
    if isinstance(args, argparse.Namespace):
        return dict(vars(args))
    return dict(args) if isinstance(args, Mapping) else {}


def _beside(path: Path) -> dict[str, Any]:
    """The regression of contacts that fair-esm keeps in a file of its own."""
    file = path.with_name(f"{path.stem}-contact-regression.pt")
    return _pickled(file) if file.is_file() else {}


def _sharded(index: Path) -> dict[str, Any]:
    """All parts of weights that an index divides over several files."""
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{index}: not an index of weights, which has a weight_map") from None
    content: dict[str, Any] = {}
    for name in names:
        part = index.parent / name
        if part.name != name or not part.is_file():
            raise UserError(f"{index} names {name}, which is not beside it")
        content.update(_safetensors(part) if part.suffix == ".safetensors" else _pickled(part))
    return content


def _meant(path: Path) -> str:
    """What somebody may have meant who gives a name in place of a path."""
    from maskedmod import recipe_file

    if str(path) in recipe_file.names():
        return f"; maskedmod.create({str(path)!r}) makes that recipe's model with fresh weights"
    if not path.is_absolute() and len(path.parts) == 2 and not path.suffix and not Path(path.parts[0]).exists():
        return "; names of the Hugging Face Hub are not fetched: download the folder first"
    return ""


def _safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path}: cut off or damaged, not a whole safetensors file ({one_line(str(error), 120)})") from None


def _pickled(path: Path) -> dict[str, Any]:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise nearly anything
        message = one_line(str(error), 2000)
        if "Unsupported global" in message:
            what = message.partition("GLOBAL ")[2].split(" ")[0]
            raise UserError(f"{path}: holds an object of {what}, which could run code; only plain data is read") from None
        raise UserError(f"{path}: cut off or damaged, not a whole PyTorch file ({type(error).__name__})") from None
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: holds a {type(content).__name__}; expected a dict of tensors")
    return dict(content)


def _flatten(path: Path, content: Mapping[str, Any]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    weights: dict[str, Tensor] = {}
    extras = []
    for name, value in content.items():
        if isinstance(value, Tensor):
            weights[name.removeprefix("module.")] = value
        elif isinstance(value, Mapping) and value and all(isinstance(x, Tensor) for x in value.values()):
            prefix = "" if name in _MAIN else f"{name}."
            weights.update({prefix + key.removeprefix("module."): x for key, x in value.items()})
        elif name not in ("args", "cfg"):
            extras.append(str(name))
    if not weights:
        raise UserError(f"{path}: holds no tensors (found {', '.join(extras) or 'nothing'})")
    return weights, tuple(extras)


def _config(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for name in ("preprocessor_config.json", "config.json"):
        file = path.parent / name
        if not file.is_file():
            continue
        try:
            found = json.loads(file.read_text())
        except ValueError as error:
            raise UserError(f"{file}: not JSON ({one_line(str(error), 120)})") from None
        config.update(found if isinstance(found, dict) else {})
    return config
