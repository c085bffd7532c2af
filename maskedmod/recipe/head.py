"""What recipes say of themselves: system, family and modality, read without the rest of the file.

A recipe begins with comment lines. The first names the system and its paper, one is ``# family: NAME``. The modality is that of
its key ``modality``, whose lines alone are parsed: whole files would take ten times as long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from maskedmod.errors import UserError, unknown
from maskedmod.recipe import file as recipe_file
from maskedmod.recipe.layering import chosen

_FAMILY = re.compile(r"#[ \t]*family:[ \t]*(.*\S)[ \t]*")
_MODALITY = re.compile(r"^modality[ \t]*:.*\n?(?:(?:[ \t].*|#.*)?\n|[ \t].*\Z)*", re.MULTILINE)
"""The key at the left edge, and what is indented or empty or a comment below it."""


class Head(NamedTuple):
    """What a list of recipes tells of one."""

    name: str
    system: str
    family: str
    modality: str


def read(path: Path) -> Head:
    """Head of one recipe file. UserError when it names no family, or two, or no modality."""
    text = recipe_file.read_text(path)
    comments = [*takewhile(lambda line: line.startswith("#"), text.splitlines())]
    families = [found[1] for line in comments[1:] if (found := _FAMILY.fullmatch(line))]
    if len(families) != 1:
        raise UserError(f"recipe file {path}: expected one line '# family: NAME' below its first line, found {len(families)}")
    return Head(path.stem, comments[0].lstrip("# ").strip(), families[0], _modality(path, text))


def heads() -> list[Head]:
    """Heads of the recipes of the package, sorted by name."""
    return [read(path) for path in recipe_file.paths()]


def select(found: Iterable[Head], modality: str | None = None, family: str | None = None) -> list[Head]:
    """Heads of one modality, of one family, or of both. A family is named in full or by a beginning that no other has, in
    capitals or not. UserError when a name fits none."""
    kept = list(found)
    if modality is not None:
        known = sorted({head.modality for head in kept})
        kept = [head for head in kept if head.modality == modality]
        if not kept:
            raise unknown("modality", modality, known, "among the recipes")
    if family is not None:
        one = _family(family, {head.family for head in kept}, f"of modality {modality}" if modality else "")
        kept = [head for head in kept if head.family == one]
    return kept


def groups(found: Iterable[Head]) -> dict[str, dict[str, list[Head]]]:
    """Heads by modality, and in each by family, all in the order of their names."""
    out: dict[str, dict[str, list[Head]]] = {}
    for head in sorted(found, key=lambda head: (head.modality, head.family.casefold(), head.name)):
        out.setdefault(head.modality, {}).setdefault(head.family, []).append(head)
    return out


def total(found: Iterable[Head]) -> str:
    """``35 recipes in 8 modalities``."""
    modalities = [head.modality for head in found]
    kinds = len(set(modalities))
    return f"{len(modalities)} recipe{'s' * (len(modalities) != 1)} in {kinds} modalit{'y' if kinds == 1 else 'ies'}"


def _modality(path: Path, text: str) -> str:
    places = _MODALITY.findall(text)
    tree = None
    if len(places) == 1:
        try:
            tree = recipe_file.parse(places[0], str(path))
        except UserError:  # lines that mean nothing without others, such as an alias
            tree = None
    value = (recipe_file.load_tree(path) if tree is None else tree).get("modality")
    name = value if isinstance(value, str) else chosen(value)
    if name is None:
        raise UserError(f"recipe file {path}: names no modality")
    return name


def _family(word: str, known: set[str], where: str) -> str:
    full = [name for name in known if name.casefold() == word.casefold()]
    begun = [name for name in known if word and name.casefold().startswith(word.casefold())]
    fitting = full or begun
    if len(fitting) != 1:
        raise unknown("family", word, sorted(fitting or known), "(more than one begins so)" if fitting else where)
    return fitting[0]
