"""Settings that no tensor tells: given by the caller, else from the file's own record, else the published value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskedmod.errors import UserError, unknown
from maskedmod.sequences import vocabulary
from maskedmod.zoo.files.source import Source
from maskedmod.zoo.layouts import arguments
from maskedmod.zoo.layouts.layout import Layout

TOKENS = "tokens.txt"
"""A vocabulary beside the weights, a token a line, as converting writes it."""
OF_READING = ("modality", "vocabulary", "special", "vocab", "tokenizer")
"""Settings that are said or found and never taken from a run's own, which call other things so."""


def settle(layout: Layout, source: Source, given: Mapping[str, Any]) -> dict[str, Any]:
    """One value for every setting of a layout; options that it does not support are refused. None means: to be inferred from
    the tensors; a tokenizer or vocabulary is looked for beside the weights."""
    given = dict(_ours(layout, name, value) for name, value in given.items())
    arguments.check(layout, source)
    values: dict[str, Any] = {}
    for name, default in layout.SETTINGS.items():
        if name in given:
            values[name] = given[name]
        elif name in OF_READING:
            values[name] = default
        elif layout.CONFIG.get(name) in source.config:
            values[name] = source.config[layout.CONFIG[name]]
        elif layout.CONFIG.get(name) in source.args:
            values[name] = source.args[layout.CONFIG[name]]
        else:
            values[name] = source.args.get(name, default)
    for name, value in _of_timm(source.config).items():
        if values.get(name, value) is None:
            values[name] = value
    if "vocabulary" in values:
        _find_vocabulary(values, layout, source)
    return values


def _of_timm(config: Mapping[str, Any]) -> dict[str, Any]:
    """What timm's ``config.json`` tells in its parts: the size of an image that is not square, heads, mean and deviation."""
    model, about = (config.get(key) or {} for key in ("model_args", "pretrained_cfg"))
    if not isinstance(model, Mapping) or not isinstance(about, Mapping):
        return {}
    size = model.get("img_size") or list(about.get("input_size") or [])[1:]
    out: dict[str, Any] = {"heads": model.get("num_heads"), "mean": about.get("mean"), "std": about.get("std")}
    if isinstance(size, list | tuple) and len(size) == 2 and size[0] != size[1]:
        out["image_size"] = list(size)
    return {key: value for key, value in out.items() if value is not None}


def _find_vocabulary(values: dict[str, Any], layout: Layout, source: Source) -> None:
    """The vocabulary beside the weights or one folder up, unless it was named (``vocab`` and ``tokenizer`` are older names),
    and the special tokens that lie with it."""
    for older in ("vocab", "tokenizer"):
        if values.get(older) is not None and values["vocabulary"] is None:
            values["vocabulary"] = values[older]
    if values["vocabulary"] is None:
        rows = getattr(layout, "ids", lambda weights: None)(source.weights)
        found = vocabulary.find(source.path, rows)
        values["vocabulary"] = None if found is None else str(found)
    if values["special"] is None and values["vocabulary"] is not None:
        file = vocabulary.file_of(values["vocabulary"])
        values["special"] = vocabulary.told(file.parent, vocabulary.read_tokens(file)) or None


def _ours(layout: Layout, name: str, value: Any) -> tuple[str, Any]:
    """A setting by our name or by that of an argument of the released code. UserError for what is none, for what tensors tell,
    and for what is not read."""
    if name in layout.SETTINGS:
        return name, value
    meaning = getattr(layout, "RELEASED", {}).get(name)
    if meaning is None and name in OF_READING:
        raise UserError(f"{name}= is for models of sequences; layout {layout.NAME} is none")
    if meaning is None:
        raise unknown("setting", name, layout.SETTINGS, f"of layout {layout.NAME}")
    if meaning in layout.SETTINGS:
        return meaning, value
    raise UserError(f"setting {name} of layout {layout.NAME}: {meaning}")


def heads_of(width: int, head_width: int = 64, what: str = "heads") -> int:
    """Published numbers of heads: width / 64, but 16 for ViT-H (1280), ViT-g (1408) and ViT-G (1664). UserError for other widths,
    whose number nothing tells. ``what``: the setting."""
    if width in (1280, 1408, 1664):
        return 16
    if width % head_width:
        raise UserError(
            f"no tensor tells the number of heads, and width {width} is no published one (a multiple of {head_width}): "
            f"give settings={{'{what}': ...}}"
        )
    return width // head_width


def grid_of(tokens: int, patch: tuple[int, int], size: Any, what: str) -> tuple[int, int]:
    """Lattice of ``tokens`` patches: of an image of ``size`` (a number or [height, width]) where it is given, else square.
    UserError when it does not come out."""
    if size is None:
        side = round(tokens**0.5)
        if side * side != tokens:
            raise UserError(f"{tokens} positions are no square: give settings={{'{what}': [height, width]}}")
        return side, side
    height, width = (size, size) if isinstance(size, int) else size
    grid = (height // patch[0], width // patch[1])
    if grid[0] * grid[1] != tokens:
        raise UserError(f"{what} {height} x {width} has {grid[0] * grid[1]} patches of {patch}, the file has {tokens} positions")
    return grid
