"""Constructor signatures are the schema: jsonargparse checks and converts a block's arguments; errors become one line."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Literal

from maskedmod.core.model import Objective
from maskedmod.errors import UserError, nearest, one_line, unknown
from maskedmod.recipe import catalog
from maskedmod.recipe.layering import INNER, chosen
from maskedmod.recipe.settings import TrainSettings
from maskedmod.recipe.start import Start

REQUIRED = ("modality", "mask", "encoder", "target", "head", "loss", "optimizer")


def complete(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with every block's arguments checked and all defaults written out. Builds nothing."""
    _check_scalars(tree)
    _check_slots(tree)
    out = dict(tree)
    for slot in catalog.SLOTS:
        if slot in tree:
            out[slot] = _complete_block(slot, tree[slot], slot, chosen(tree.get("modality")))
    if tree.get("objectives"):
        out["objectives"] = {name: _complete_objective(name, node) for name, node in tree["objectives"].items()}
    if tree.get("optimizers"):
        out["optimizers"] = {n: _complete_block("optimizer", node, f"optimizers.{n}") for n, node in tree["optimizers"].items()}
    out["train"] = plain(TrainSettings, tree.get("train") or {}, "train")
    typed(TrainSettings, out["train"], "train", make=True)
    return out


def typed(cls: Callable[..., Any], given: dict[str, Any], where: str, skip: int = 0, make: bool = False) -> Any:
    """Arguments for ``cls`` as typed values, defaults included, without the ``skip`` leading ones; ``make``: the object."""
    parser, parsed = _parsed(cls, given, where, skip)
    values = {key: _tupled(value) for key, value in _named(parser.instantiate(parsed)).items()}
    return cls(**values) if make else values


def plain(cls: Callable[..., Any], given: dict[str, Any], where: str, skip: int = 0) -> dict[str, Any]:
    """The same as plain data (numbers, strings, lists, dicts), to be written to a recipe."""
    _, parsed = _parsed(cls, given, where, skip)
    return {key: _plain(value) for key, value in _named(parsed).items()}


def block(slot: str, node: dict[str, Any], where: str = "", modality: str | None = None) -> tuple[type[Any], dict[str, Any]]:
    """Class and typed arguments of a slot ``{name: {arguments}}``."""
    name = chosen(node)
    assert name is not None
    cls = catalog.load(slot, name, modality)
    return cls, typed(cls, node[name] or {}, where or slot, catalog.GIVEN.get(slot, 0))


def objective_options(node: dict[str, Any], where: str) -> dict[str, Any]:
    """Typed weight, sign, optimizer, region and views of an objective."""
    return typed(Objective, {key: value for key, value in node.items() if key not in INNER}, where, skip=len(INNER))


def describe(cls: Callable[..., Any], skip: int = 0) -> list[tuple[str, str, str]]:
    """Name, type in words and default of every argument, for the reference."""
    hints = _hints(cls)
    rows = []
    for name, parameter in _parameters(cls, skip).items():
        default = "required" if parameter.default is parameter.empty else _yaml_word(_plain(parameter.default))
        rows.append((name, _spelt(hints.get(name, parameter.annotation)), default))
    return rows


def _complete_block(slot: str, node: dict[str, Any], where: str, modality: str | None = None) -> dict[str, Any]:
    name = chosen(node)
    assert name is not None
    cls = catalog.load(slot, name, modality)
    return {name: plain(cls, node[name] or {}, f"{where}={name}", catalog.GIVEN.get(slot, 0))}


def _complete_objective(name: str, node: dict[str, Any]) -> dict[str, Any]:
    where = f"objectives.{name}"
    for slot in INNER:
        if name != "main" and slot not in node:
            raise UserError(f"{where}.{slot} is missing; one of {', '.join(catalog.names(slot))}")
        if name == "main" and slot in node:
            raise UserError(f"{where}.{slot}: the objective main has its {slot} at the top of the recipe")
    blocks = {slot: _complete_block(slot, node[slot], f"{where}.{slot}") for slot in INNER if slot in node}
    options = {key: value for key, value in node.items() if key not in INNER}
    for key in options:
        known = [*INNER, *_parameters(Objective, len(INNER))]
        if key not in known:
            raise unknown("key", key, known, f"in {where}")
    return blocks | plain(Objective, options, where, skip=len(INNER))


def _check_scalars(tree: dict[str, Any]) -> None:
    if type(seed := tree.get("seed", 0)) is not int or not 0 <= seed < 2**63:
        raise UserError(f"seed: expected an integer from 0 to 2**63 - 1, got {seed!r}")
    if tree.get("resume", "auto") not in ("auto", "never"):
        raise unknown("value", str(tree["resume"]), ("auto", "never"), "of resume")
    if isinstance(tree.get("init"), dict):
        Start.of(tree["init"])


def _check_slots(tree: dict[str, Any]) -> None:
    main = set(INNER) if [name for name in tree.get("objectives") or {} if name != "main"] else set()
    if main & set(tree):
        main = set()  # a recipe of named objectives alone has none of the three at the top; one of them asks for all
    for slot in REQUIRED:
        if slot not in tree and slot not in main:
            raise UserError(f"{slot} is missing: write {slot}=NAME, one of {', '.join(catalog.names(slot))}")


@lru_cache
def _parser(cls: Callable[..., Any], skip: int) -> Any:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False, default_env=False)
    left_out = set(list(inspect.signature(cls).parameters)[:skip])
    parser.add_class_arguments(cls, skip=left_out, instantiate=False, fail_untyped=False, sub_configs=False)
    return parser


def _parsed(cls: Callable[..., Any], given: dict[str, Any], where: str, skip: int) -> tuple[Any, Any]:
    parser = _parser(cls, skip)
    _precheck(cls, given, where, skip)
    try:
        return parser, parser.parse_object(given)
    except Exception as error:
        raise _as_user_error(cls, given, where, skip, error) from None


def _as_user_error(cls: Callable[..., Any], given: dict[str, Any], where: str, skip: int, error: Exception) -> UserError:
    """jsonargparse's errors span lines and name no block: find the argument that fails on its own and say it in one line."""
    parameters, hints = _parameters(cls, skip), _hints(cls)
    required = [name for name, p in parameters.items() if p.default is p.empty]
    text = str(error)
    for key, value in given.items():
        if f'"{key}"' in text:
            expected = _spelt(hints.get(key, parameters[key].annotation))
            texts = expected.startswith("text") and not isinstance(value, dict | list)
            quote = f"; quotes make it text: {key}=\"'{value}'\"" if texts else ""
            return UserError(f"{where}: {key} expects {expected}, got {value!r}{quote}")
    return UserError(f"{where}: {one_line(text)}" + (f" (required: {', '.join(required)})" if required else ""))


def _precheck(cls: Callable[..., Any], given: dict[str, Any], where: str, skip: int) -> None:
    """Unknown, missing and null arguments, and unknown keys inside a value that is a small dataclass (a schedule)."""
    parameters, hints = _parameters(cls, skip), _hints(cls)
    for key, value in given.items():
        if key not in parameters:
            raise unknown("argument", str(key), parameters, f"of {where}")
        hint = hints.get(key)
        if hint is None:
            continue
        if value is None and not _optional(hint):
            raise UserError(f"{where}: {key} expects {_spelt(hint)}, got null")
        if isinstance(value, dict):
            _precheck_fields(hint, value, f"{where}: {key}")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            raise UserError(f"{where}: {name} is missing, it expects {_spelt(hints.get(name, parameter.annotation))}")


def _precheck_fields(hint: Any, value: dict[str, Any], where: str) -> None:
    shapes = [[f.name for f in dataclasses.fields(cls)] for cls in _members(hint) if dataclasses.is_dataclass(cls)]
    if not shapes or any(set(value) <= set(shape) for shape in shapes):
        return
    closest = max(shapes, key=lambda shape: len(set(value) & set(shape)))
    wrong = next(key for key in value if key not in closest)
    choices = " or ".join("{" + ", ".join(shape) + "}" for shape in shapes)
    raise UserError(f"{where} has no key {wrong!r}: accepted are {choices}{nearest(str(wrong), closest)}")


@lru_cache
def _parameters(cls: Callable[..., Any], skip: int) -> dict[str, inspect.Parameter]:
    """Arguments a recipe may give, those that ``**kwargs`` hands to a base class included."""
    accepted = {action.dest.partition(".")[0] for action in _parser(cls, skip)._actions if action.dest != "help"}
    own = dict(list(inspect.signature(cls).parameters.items())[skip:])
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found = {name: parameter for name, parameter in own.items() if parameter.kind not in kinds}
    for name in sorted(accepted - set(found)):
        found[name] = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
    return found


@lru_cache
def _hints(cls: Callable[..., Any]) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for one in reversed(inspect.getmro(cls) if isinstance(cls, type) else [cls]):
        init = one.__dict__.get("__init__") if isinstance(one, type) else one
        try:
            hints.update(typing.get_type_hints(init) if init is not None else {})
        except (NameError, TypeError):  # names that exist for type checkers alone
            continue
    return hints


def _members(hint: Any) -> Iterator[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for member in typing.get_args(hint):
            yield from _members(member)
    else:
        yield hint


def _optional(hint: Any) -> bool:
    return hint is Any or any(member in (type(None), Any, None) for member in _members(hint))


def _spelt(hint: Any) -> str:
    """A type in words: ``a number or {start, end, shape, steps}``."""
    words = {int: "an integer", float: "a number", str: "text", bool: "true or false", type(None): "null", Any: "anything"}
    spelt = []
    for member in _members(hint):
        if typing.get_origin(member) is Literal:
            spelt.append("one of " + ", ".join(str(choice) for choice in typing.get_args(member)))
        elif dataclasses.is_dataclass(member):
            spelt.append("{" + ", ".join(field.name for field in dataclasses.fields(member)) + "}")
        elif typing.get_origin(member) is tuple and Ellipsis not in typing.get_args(member):
            spelt.append("[" + ", ".join(_spelt(part) for part in typing.get_args(member)) + "]")
        elif typing.get_origin(member) is not None and typing.get_args(member):
            inner = [part for part in typing.get_args(member) if part is not Ellipsis]
            spelt.append("a list or mapping of " + _spelt(inner[-1]))
        else:
            spelt.append(words.get(member, getattr(member, "__name__", str(member))))
    return " or ".join(dict.fromkeys(spelt))


def _yaml_word(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value).replace("'", "")


def _named(parsed: Any) -> dict[str, Any]:
    """Arguments by name. Those that are called like a method of jsonargparse's namespace (``values``) are marked in it by a
    space of no width."""
    return {key.removeprefix("\u200b"): value for key, value in vars(parsed).items()}


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return _plain(_named(value)) if hasattr(value, "as_dict") else value
