"""Settings that no tensor tells: given by the caller, else from the file's own record, else the published value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskedmod.errors import UserError, unknown
from maskedmod.zoo.files.source import Source
from maskedmod.zoo.layouts.layout import Layout

TOKENS = "tokens.txt"
"""A vocabulary beside the weights, a token a line, as converting writes it."""


def settle(layout: Layout, source: Source, given: Mapping[str, Any]) -> dict[str, Any]:
    """One value for every setting of a layout. None means: to be inferred from the tensors; a tokenizer or
    vocabulary is looked for beside the weights."""
    given = dict(_ours(layout, name, value) for name, value in given.items())
    values: dict[str, Any] = {}
    for name, default in layout.SETTINGS.items():
        if name in given:
            values[name] = given[name]
        elif layout.CONFIG.get(name) in source.config:
            values[name] = source.config[layout.CONFIG[name]]
        elif layout.CONFIG.get(name) in source.args:
            values[name] = source.args[layout.CONFIG[name]]
        else:
            values[name] = source.args.get(name, default)
    if values.get("vocab", "") is None and values.get("tokenizer") is None and (beside := source.path.parent / TOKENS).is_file():
        values["vocab"] = str(beside)
    if values.get("tokenizer", "") is None:
        values["tokenizer"] = str(source.path.parent)
    return values


def _ours(layout: Layout, name: str, value: Any) -> tuple[str, Any]:
    """A setting by our name or by that of an argument of the released code. UserError for what is none, for what tensors tell,
    and for what is not read."""
    if name in layout.SETTINGS:
        return name, value
    meaning = getattr(layout, "ARGUMENTS", {}).get(name)
    if meaning is None:
        raise unknown("setting", name, layout.SETTINGS, f"of layout {layout.NAME}")
    if meaning in layout.SETTINGS:
        return meaning, value
    raise UserError(f"setting {name} of layout {layout.NAME}: {meaning}")


def heads_of(width: int, head_width: int = 64) -> int:
    """Published numbers of heads: width / 64, but 16 for ViT-H (1280) and ViT-g (1408)."""
    return 16 if width in (1280, 1408) else max(1, width // head_width)


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
