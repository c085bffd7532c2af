"""What ``maskedmod ls`` lists, as plain rows; ``ls`` makes lines of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe import catalog
from maskedmod.recipe import file as recipe_file
from maskedmod.recipe import head as recipe_head
from maskedmod.recipe.layering import chosen
from maskedmod.report import overview
from maskedmod.zoo import checkpoints

Row = dict[str, Any]
MOST = 160
"""Letters of one value of a preset that are shown."""


def recipes(modality: str | None = None, family: str | None = None) -> list[Row]:
    """Recipes, all or of one modality and family."""
    return [head._asdict() for head in recipe_head.select(recipe_head.heads(), modality, family)]


def modalities() -> list[Row]:
    """Modalities, those of other packages too."""
    return [{"name": name, "summary": catalog.entry("modality", name).summary} for name in catalog.names("modality")]


def blocks(slot: str | None = None) -> list[Row]:
    """Blocks of a slot with their arguments, or of all slots."""
    out = []
    for one in [slot] if slot else [slot for slot in catalog.SLOTS if slot != "modality"]:
        for name in catalog.names(one):
            entry = catalog.entry(one, name)
            own = entry.arguments[catalog.GIVEN.get(one, 0) :]
            out.append({"slot": one, "name": name, "summary": entry.summary, "arguments": {a.name: a.default for a in own}})
    return out


def presets(recipe: str | None) -> list[Row]:
    """Presets of a recipe with what each sets, or of all recipes."""
    found = []
    for name in [recipe] if recipe else recipe_file.names():
        for preset, layer in (recipe_file.load_tree(recipe_file.find(name)).get("presets") or {}).items():
            found.append({"recipe": name, "name": str(preset), "sets": _flat(layer or {})})
    return found


def runs(folder: str | None) -> list[Row]:
    """Runs below a folder (default: ``runs``); one whose recipe cannot be read has an ``error``."""
    out: list[Row] = []
    for run in overview.below(Path(folder or "runs")):
        try:
            found = overview.overview(run)
        except (UserError, OSError) as error:
            out.append({"run": str(run), "error": str(error), "line": str(error)})
        else:
            out.append({**found.to_json(), "line": found.line()})
    return out


def published() -> list[Row]:
    """Checkpoints that are known by name; ``*`` before those that are loaded."""
    return [
        {
            "name": one.name, "loads": bool(one.layout), "recipe": one.recipe, "holds": one.holds, "target": one.target,
            "size": one.size, "licence": one.licence, "scores": one.scores, "place": one.place, "by_hand": bool(one.page),
            "unconfirmed": one.unconfirmed,
        }
        for one in checkpoints.entries().values()
    ]  # fmt: skip


def _flat(layer: Any, prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots; a block's name is ``slot=name``, as in words."""
    out: dict[str, Any] = {}
    for key, value in layer.items():
        if not prefix and key in catalog.SLOTS and isinstance(value, dict) and chosen(value) is not None and len(value) == 1:
            name = chosen(value)
            out[key] = name
            value = value[name] or {}
        if isinstance(value, dict):
            out |= _flat(value, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = value
    return out
