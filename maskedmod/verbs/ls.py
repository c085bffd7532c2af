"""maskedmod ls [recipes|blocks|modalities|checkpoints]

Lists what there is, one line each. Without a word: recipes, blocks and modalities. Checkpoints marked * are fetched and loaded by
name; the others are known and not read yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from maskedmod.errors import unknown
from maskedmod.recipe import catalog
from maskedmod.recipe import file as recipe_file
from maskedmod.zoo import checkpoints

PARTS = ("recipes", "blocks", "modalities", "checkpoints")


def run(words: Sequence[str]) -> int:
    """Print the parts that are named, or all but the checkpoints."""
    for word in words:
        if word not in PARTS:
            raise unknown("list", word, PARTS)
    for part in words or PARTS[:3]:
        print("\n".join([f"{part}:", *lines(part)]))
    return 0


def lines(part: str) -> list[str]:
    """One line per recipe, block, modality or checkpoint."""
    if part == "recipes":
        return [_line(name, recipe_file.summary(recipe_file.find(name)).partition("; values")[0]) for name in recipe_file.names()]
    if part == "modalities":
        return [_line(name, catalog.entry("modality", name).summary) for name in catalog.names("modality")]
    if part == "checkpoints":
        return [_checkpoint(entry) for entry in checkpoints.entries().values()]
    slots = [slot for slot in catalog.SLOTS if slot != "modality"]
    return [_line(f"{slot}={name}", catalog.entry(slot, name).summary) for slot in slots for name in catalog.names(slot)]


def _checkpoint(entry: checkpoints.Checkpoint) -> str:
    facts = [entry.holds, entry.target, entry.size, entry.licence, entry.scores, "by hand" if entry.page else ""]
    return _line(
        f"{'*' if entry.layout else ' '} {entry.name:<42} {entry.recipe}", "; ".join(fact for fact in facts if fact), 175
    )


def _line(name: str, summary: str, width: int = 150) -> str:
    text = f"  {name:<24} {summary}"
    return text if len(text) <= width else text[: width - 3] + "..."
