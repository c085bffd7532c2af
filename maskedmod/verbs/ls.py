"""maskedmod ls [recipes|blocks|modalities|checkpoints] [modality=NAME] [family=NAME]

Lists what there is, one line each. Without a word: recipes, blocks and modalities. Recipes stand under their modality and their
family. modality=audio and family=discrete choose among them, together or alone, and mean recipes without that word too. A family
is named in full or by a beginning that no other has, in capitals or not. Checkpoints marked * are fetched and loaded by name; the
others are known and not read yet.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from maskedmod.errors import UserError, unknown
from maskedmod.recipe import catalog
from maskedmod.recipe import head as recipe_head
from maskedmod.zoo import checkpoints

PARTS = ("recipes", "blocks", "modalities", "checkpoints")
FILTERS = ("modality", "family")
"""Keys that choose among recipes."""


def run(words: Sequence[str]) -> int:
    """Print the parts that are named, or all but the checkpoints."""
    parts = [word for word in words if "=" not in word]
    chosen = {key: value for key, _, value in (word.partition("=") for word in words if "=" in word)}
    for part in parts:
        if part not in PARTS:
            raise unknown("list", part, [*PARTS, *(f"{key}=NAME" for key in FILTERS)])
    for key in chosen:
        if key not in FILTERS:
            raise unknown("key", key, FILTERS)
        if any(part != "recipes" for part in parts):
            raise UserError(f"{key}= chooses among recipes alone: maskedmod ls recipes {key}={chosen[key]}")
    for part in parts or (["recipes"] if chosen else PARTS[:3]):
        print("\n".join([f"{part}:", *(recipes(**chosen) if part == "recipes" else lines(part))]))
    return 0


def recipes(modality: str | None = None, family: str | None = None) -> list[str]:
    """Recipes under their modality and family, with counts, and a last line with the total."""
    found = recipe_head.select(recipe_head.heads(), modality, family)
    width = max(len(head.name) for head in found)
    out = []
    for kind, families in recipe_head.groups(found).items():
        out.append(f"  {kind} ({sum(map(len, families.values()))})")
        for name, heads in families.items():
            out.append(f"    {name} ({len(heads)})")
            out += [_cut(f"      {head.name:<{width}}  ", head.system.partition("; ")[0], 100) for head in heads]
    return [*out, recipe_head.total(found)]


def lines(part: str) -> list[str]:
    """One line per block, modality or checkpoint."""
    if part == "modalities":
        return [_line(name, catalog.entry("modality", name).summary) for name in catalog.names("modality")]
    if part == "checkpoints":
        return [_checkpoint(entry) for entry in checkpoints.entries().values()]
    slots = [slot for slot in catalog.SLOTS if slot != "modality"]
    return [_line(f"{slot}={name}", catalog.entry(slot, name).summary) for slot in slots for name in catalog.names(slot)]


def _checkpoint(entry: checkpoints.Checkpoint) -> str:
    place = ["by hand" if entry.page else "", "id not confirmed" if entry.unconfirmed else ""]
    facts = [entry.holds, entry.target, entry.size, entry.licence, entry.scores, *place]
    return _line(
        f"{'*' if entry.layout else ' '} {entry.name:<42} {entry.recipe}", "; ".join(fact for fact in facts if fact), 175
    )


def _line(name: str, summary: str, width: int = 150) -> str:
    return _cut(f"  {name:<24} ", summary, width)


def _cut(start: str, text: str, width: int) -> str:
    """A line of at most ``width`` columns that ends with a whole word."""
    return start + textwrap.shorten(text, max(width - len(start), 10), placeholder=" ...")
