"""Settings that no tensor tells: given by the caller, else from the file's own record, else the published value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskedmod.errors import UserError, unknown
from maskedmod.zoo.files.source import Source
from maskedmod.zoo.layouts import arguments
from maskedmod.zoo.layouts.layout import Layout

TOKENS = "tokens.txt"
"""A vocabulary beside the weights, a token a line, as converting writes it."""


def settle(layout: Layout, source: Source, given: Mapping[str, Any]) -> dict[str, Any]:
    """One value for every setting of a layout; options that it does not support are refused. None means: to be inferred from
    the tensors; a tokenizer or vocabulary is looked for beside the weights."""
    for name in given:
        if name not in layout.SETTINGS:
            raise unknown("setting", name, layout.SETTINGS, f"of layout {layout.NAME}")
    arguments.check(layout, source)
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
