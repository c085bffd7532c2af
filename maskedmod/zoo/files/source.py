"""Read a file or folder of weights: tensors by name, and whatever plain settings lie beside them. No code of the file runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from maskedmod.errors import UserError, nearest
from maskedmod.recipe import file as recipe_file
from maskedmod.support import strict_json
from maskedmod.zoo.checkpoints import WEIGHT_FILES, entries
from maskedmod.zoo.files import pytorch as torch_file
from maskedmod.zoo.files import safetensors as safetensors_file
from maskedmod.zoo.files.contents import WRAPPERS, Contents, divided
from maskedmod.zoo.files.mapped import Mapped
from maskedmod.zoo.files.shells import plain


@dataclass(frozen=True)
class Source:
    """What a file holds. ``weights`` by key, with what wrapped models put into keys removed (``module.``, ``_orig_mod.``,
    named in ``prefix``); a dict of tensors called ``model`` or ``state_dict`` gives plain keys, any other one (``encoder``,
    ``model_ema``) gives keys ``name.key``. ``beside``: keys of tensors that stand beside the weights,
    ``groups``: names of dicts of tensors that may, see ``contents``. ``args``: the settings of the run that wrote it.
    ``config``: ``config.json`` and ``preprocessor_config.json`` beside it. ``extras``: names of everything else (optimiser
    state, epoch), which is not needed. ``files``: what the tensors are views of; they take no memory until they are read, and
    stay good when the file is replaced, but not when it is written over."""

    path: Path
    weights: dict[str, Tensor]
    args: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    extras: tuple[str, ...] = ()
    files: tuple[Mapped, ...] = ()
    beside: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    prefix: str = ""

    def release(self) -> None:
        """Let go of the memory of tensors that were read; they can be read again."""
        for file in self.files:
            file.release()


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
    files: list[Mapped] = []
    content = _sharded(path, files) if path.suffix == ".json" else _content(path, files)
    inside = _divided(path, content)
    weights = inside.weights
    if path.suffix == ".pt" and (beside := path.with_name(f"{path.stem}-contact-regression.pt")).is_file():
        weights.update(
            _divided(beside, _content(beside, files)).weights
        )  # fair-esm keeps its regression of contacts in a file of its own
    told = (tuple(inside.extras), tuple(files), frozenset(inside.beside), frozenset(inside.groups), "".join(inside.wrappers))
    return Source(path, weights, _args(content), _config(path), *told)


def _content(path: Path, files: list[Mapped]) -> dict[str, Any]:
    """What one file holds. Its first bytes tell the format and not its name: safetensors begin with a length and a brace."""
    with path.open("rb") as file:
        head = file.read(9)
    safe = path.suffix == ".safetensors" or (head[8:] == b"{" and head[:1] not in (b"P", b"\x80"))
    content, mapped = (safetensors_file if safe else torch_file).read(path)
    files.append(mapped)
    return content


def _args(content: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the run: ``args``, or ``cfg["model"]`` of newer fairseq."""
    try:
        args = plain(content.get("args"))
        if args is None and isinstance(cfg := plain(content.get("cfg")), Mapping):
            args = cfg.get("model")
    except RecursionError:  # settings nested beyond any that a run has
        return {}
    return dict(args) if isinstance(args, Mapping) else {}


def _sharded(index: Path, files: list[Mapped]) -> dict[str, Any]:
    """All parts of weights that an index divides over several files. Every key must be where the index says, in one file."""
    places = strict_json.read(index).get("weight_map")
    if not isinstance(places, Mapping) or not all(isinstance(name, str) for name in places.values()):
        raise UserError(f"{index}: not an index of weights, which has a weight_map")
    content: dict[str, Any] = {}
    for name in sorted(set(places.values())):
        part = index.parent / name
        if part.suffix == ".json":
            raise UserError(f"{index} names {name}, which is an index and not weights")
        if part.name != name or not part.is_file():
            raise UserError(f"{index} names {name}, which is not beside it")
        found = _divided(part, _content(part, files)).weights
        lost = sorted(key for key, place in places.items() if place == name and WRAPPERS.sub("", key) not in found)
        if lost:
            raise UserError(f"{index}: {lost[0]} should be in {name} and is not there ({len(lost)} such keys)")
        if twice := sorted(found.keys() & content.keys()):
            raise UserError(f"{index}: {twice[0]} is in {name} and in another file ({len(twice)} such keys)")
        content.update(found)
    return content


def _meant(path: Path) -> str:
    """What somebody may have meant who gives a name in place of a path."""
    if str(path) in recipe_file.names():
        return f"; maskedmod.create({str(path)!r}) makes that recipe's model with fresh weights"
    return nearest(str(path), entries()) if not path.suffix else ""


def _divided(path: Path, content: Mapping[str, Any]) -> Contents:
    found = divided(content)
    if not found.weights:
        raise UserError(f"{path}: holds no tensors (found {', '.join(found.extras) or 'nothing'})")
    return found


def _config(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for name in ("preprocessor_config.json", "config.json"):
        file = path.parent / name
        if file.is_file():
            config.update(strict_json.read(file))
    return config
