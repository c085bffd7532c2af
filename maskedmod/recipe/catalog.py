"""Where blocks are: a block's recipe name is its file name. Everything but ``load`` reads files and imports nothing heavy.

Names from outside the package: modalities by the entry-point group ``maskedmod.modalities``, blocks by the group
``maskedmod.blocks`` (``mask.my_idea = "package.module:MyIdea"``); any block as ``package.module:Class``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from maskedmod.errors import UserError, unknown

PACKAGES = {
    "mask": "maskedmod.masks",
    "encoder": "maskedmod.encoders",
    "teacher": "maskedmod.teachers",
    "target": "maskedmod.targets",
    "head": "maskedmod.heads",
    "loss": "maskedmod.losses",
    "optimizer": "maskedmod.optimizers",
    "data": "maskedmod.data.sources",
}
SLOTS = ("modality", "augment", *PACKAGES)
"""Keys of a recipe that name a block."""

GIVEN = {"mask": 1, "encoder": 2, "teacher": 2, "target": 1, "head": 1, "loss": 1}
"""Leading constructor arguments that the model supplies (spec, embedding, student), so that no recipe writes them."""

ENTRY_POINTS = "maskedmod.modalities"
BLOCK_POINTS = "maskedmod.blocks"


@dataclass(frozen=True)
class Argument:
    """A constructor argument as written in the source."""

    name: str
    type: str
    default: str | None


@dataclass(frozen=True)
class Entry:
    """What the source says of a block: first line of its file's docstring, and its constructor's arguments."""

    summary: str
    arguments: tuple[Argument, ...]


def names(slot: str, modality: str | None = None) -> list[str]:
    """Recipe names of the blocks of a slot, sorted. ``augment`` belongs to a modality (None: of all of them)."""
    if slot == "modality":
        return sorted({*_modules(_folder("maskedmod.modalities"), packages=True), *_third_parties()})
    return sorted({*_own(slot, modality), *_plugins(slot, modality)})


def _own(slot: str, modality: str | None) -> list[str]:
    """Blocks that are files of this package, or of a modality's."""
    if slot == "augment":
        owners = [modality] if modality else names("modality")
        return sorted({name for owner in owners for name in _modules(_augment_folder(owner))})
    return _modules(_folder(PACKAGES[slot]))


def _plugins(slot: str, modality: str | None = None) -> dict[str, str]:
    """``package.module:Class`` by name, of the blocks that other packages offer for a slot. A name that is ours, or that two
    packages offer, stands for itself no more: these are listed, and used, as ``package.module:Class``."""
    offered = [(name.partition(".")[2], value) for name, value in points(BLOCK_POINTS) if name.partition(".")[0] == slot]
    if not offered:
        return {}
    taken = {*_own(slot, modality)} | {name for name, value in offered if any(name == n and value != v for n, v in offered)}
    return {value if name in taken or not name else name: value for name, value in offered}


def misnamed() -> list[str]:
    """Entry points for blocks that name no slot, as ``NAME = VALUE``."""
    slots = ("augment", *PACKAGES)
    return [f"{name} = {value}" for name, value in points(BLOCK_POINTS) if name.partition(".")[0] not in slots]


def is_block(slot: str, name: str, modality: str | None = None) -> bool:
    """Whether the name is one of the slot's blocks or of the form ``package.module:Class``."""
    return ":" in name or name in names(slot, modality)


def load(slot: str, name: str, modality: str | None = None) -> type[Any]:
    """Import a block's class. UserError when there is no such block."""
    if ":" in name:
        return _imported(slot, *name.split(":", 1))
    if name not in names(slot, modality):
        where = f"of modality {modality}" if slot == "augment" and modality else ""
        raise unknown(f"{slot} block" if slot != "modality" else "modality", name, names(slot, modality), where)
    if slot == "modality" and name in _third_parties():
        module, _, attribute = _third_parties()[name].partition(":")
        return _imported(slot, module, attribute or camel(name))
    if slot != "modality" and (value := _plugins(slot, modality).get(name)):
        return _imported(slot, *value.split(":", 1))
    return _named(import_module(_module_name(slot, name, modality)), name)


def entry(slot: str, name: str, modality: str | None = None) -> Entry:
    """Summary and arguments of a block, read from its source."""
    value = name if ":" in name else "" if slot == "modality" else _plugins(slot, modality).get(name, "")
    if value:
        module, _, name = value.partition(":")
        path = _outside(module)
        return Entry("", ()) if path is None else _read(path, name.lower())
    read = [_read(path, name) for path in _sources(slot, name, modality)]
    arguments = next((found.arguments for found in read if found.arguments), ())
    return Entry(next((found.summary for found in read if found.summary), ""), arguments)


def fields(package: str, module: str, cls: str) -> list[str]:
    """Field names of a dataclass, read from its source."""
    parent = _folder(package)
    path = parent / f"{module}.py" if parent is not None else None
    return [argument.name for argument in _read(path, cls.lower()).arguments] if path is not None else []


def camel(name: str) -> str:
    """``multi_block`` -> ``MultiBlock``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _imported(slot: str, module: str, attribute: str) -> type[Any]:
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{slot}: {module}:{attribute} cannot be imported ({error})") from None


def _named(module: Any, name: str) -> type[Any]:
    """The class of a module that its file name means; capitals are the class's own affair (``AdamW`` in ``adamw.py``)."""
    if hasattr(module, camel(name)):
        return getattr(module, camel(name))
    for key, member in vars(module).items():
        if key.lower() == name.replace("_", "") and isinstance(member, type):
            return member
    raise UserError(f"{module.__name__} has no class {camel(name)}")


def _module_name(slot: str, name: str, modality: str | None) -> str:
    if slot == "modality":
        return f"maskedmod.modalities.{name}"
    if slot == "augment":
        for owner in [modality] if modality else names("modality"):
            if name in _modules(_augment_folder(owner)):
                return f"{_package(owner)}.augment.{name}"
    return f"{PACKAGES[slot]}.{name}"


def _package(modality: str) -> str:
    """Package of a modality: ours or, for a third party's, the one its entry point lies in."""
    value = _third_parties().get(modality)
    if value is None:
        return f"maskedmod.modalities.{modality}"
    module = value.partition(":")[0]
    spec = find_spec(module)
    return module if spec is None or spec.submodule_search_locations else module.rpartition(".")[0]


def _third_parties() -> dict[str, str]:
    return dict(points(ENTRY_POINTS))


def points(group: str) -> tuple[tuple[str, str], ...]:
    """Names and values of the entry points of a group, sorted."""
    return _points(group, tuple(sys.path))


@lru_cache
def _points(group: str, path: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Asked anew when the import path has changed."""
    return tuple(sorted({(point.name, point.value) for point in metadata.entry_points(group=group)}))


def _outside(module: str) -> Path | None:
    """File of a module of another package, without importing its parents."""
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or not rest:
        return None if spec is None or not spec.origin else Path(spec.origin)
    places = [Path(place).joinpath(*rest) for place in spec.submodule_search_locations or ()]
    found = [path for place in places for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()]
    return next(iter(found), None)


def _folder(package: str) -> Path | None:
    return _package_folder(package, tuple(sys.path))


@lru_cache
def _package_folder(package: str, path: tuple[str, ...]) -> Path | None:
    """Folder of a package, without importing more than its parents."""
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:
        return None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) if places else None


def _augment_folder(modality: str) -> Path | None:
    if ":" in modality:
        return None
    if modality in _third_parties():
        return _folder(f"{_package(modality)}.augment")
    root = _folder("maskedmod.modalities")
    return None if root is None else root / modality / "augment"


def _modules(folder: Path | None, packages: bool = False) -> list[str]:
    if folder is None or not folder.is_dir():
        return []
    if packages:
        found: Iterable[str] = (p.parent.name for p in folder.glob("*/__init__.py"))
    else:
        found = (p.stem for p in folder.glob("*.py"))
    return sorted(name for name in found if not name.startswith("_"))


def _sources(slot: str, name: str, modality: str | None) -> list[Path]:
    """Files in which the class of a block may stand."""
    if slot == "modality":
        parent = _folder(_package(name))
        found = sorted(parent.glob("*.py")) if parent is not None else []
        return sorted(found, key=lambda path: path.name != "__init__.py")
    folders = [_folder(PACKAGES[slot])] if slot in PACKAGES else [_augment_folder(m) for m in names("modality")]
    if slot == "augment" and modality:
        folders = [_augment_folder(modality)]
    return [path for folder in folders if folder is not None and (path := folder / f"{name}.py").exists()]


@lru_cache
def _read(path: Path, name: str) -> Entry:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    summary = (ast.get_docstring(tree) or "").partition("\n")[0].strip()
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.lower() == name.replace("_", ""):
            return Entry(summary, _arguments(node))
    return Entry(summary, ())


def _arguments(node: ast.ClassDef) -> tuple[Argument, ...]:
    """Arguments of ``__init__`` but self, or the fields of a dataclass."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            given = part.args
            both = given.posonlyargs + given.args
            padded: list[ast.expr | None] = [None] * (len(both) - len(given.defaults)) + list(given.defaults)
            pairs = [*zip(both, padded, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
            return tuple(_argument(arg.arg, arg.annotation, default) for arg, default in pairs[1:])
    declared = [part for part in node.body if isinstance(part, ast.AnnAssign)]
    return tuple(_argument(ast.unparse(part.target), part.annotation, part.value) for part in declared)


def _argument(name: str, hint: ast.expr | None, default: ast.expr | None) -> Argument:
    return Argument(name, ast.unparse(hint) if hint is not None else "Any", None if default is None else ast.unparse(default))
