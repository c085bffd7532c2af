"""maskedmod ls [recipes|blocks|modalities]

Lists what there is, one line each.
"""

from __future__ import annotations

from collections.abc import Sequence

from maskedmod import catalog, recipe_file
from maskedmod.errors import unknown

PARTS = ("recipes", "blocks", "modalities")


def run(words: Sequence[str]) -> int:
    """Print the parts that are named, or all."""
    for word in words:
        if word not in PARTS:
            raise unknown("list", word, PARTS)
    for part in words or PARTS:
        print("\n".join([f"{part}:", *lines(part)]))
    return 0


def lines(part: str) -> list[str]:
    """One line per recipe, block or modality."""
    if part == "recipes":
        return [_line(name, recipe_file.summary(recipe_file.find(name)).partition("; values")[0]) for name in recipe_file.names()]
    if part == "modalities":
        return [_line(name, catalog.entry("modality", name).summary) for name in catalog.names("modality")]
    slots = [slot for slot in catalog.SLOTS if slot != "modality"]
    return [_line(f"{slot}={name}", catalog.entry(slot, name).summary) for slot in slots for name in catalog.names(slot)]


def _line(name: str, summary: str, width: int = 150) -> str:
    text = f"  {name:<24} {summary}"
    return text if len(text) <= width else text[: width - 3] + "..."
