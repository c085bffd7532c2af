"""maskedmod ls [recipes|presets|blocks|modalities|checkpoints|runs [DIR]] [mask|encoder|...] [modality=NAME] [family=NAME]
             [recipe=NAME]

Lists what there is. Without a word: recipes, blocks and modalities. Recipes stand under their modality and their family.
modality=audio and family=discrete choose among them, together or alone, and mean recipes without that word too. A family is
named in full or by a beginning that no other has, in capitals or not. Checkpoints marked * are fetched and loaded by name; the
others are known and not read yet.

  maskedmod ls mask                 blocks of one slot, with their arguments
  maskedmod ls presets recipe=mae   presets of a recipe, and what each sets
  maskedmod ls runs                 runs below runs/: recipe, step of steps, last validation loss beside the mean's, when
  maskedmod ls runs elsewhere/      runs below another folder

json=true   print the lists as one JSON object
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maskedmod.errors import UserError, unknown
from maskedmod.recipe import catalog
from maskedmod.recipe import head as recipe_head
from maskedmod.support.columns import entry
from maskedmod.verbs import lists
from maskedmod.verbs.lists import Row
from maskedmod.verbs.words import print_json, switch

PARTS = ("recipes", "blocks", "modalities", "checkpoints", "presets", "runs")
SLOTS = tuple(slot for slot in catalog.SLOTS if slot != "modality")
FILTERS = {"modality": "recipes", "family": "recipes", "recipe": "presets"}
"""Keys that choose, and among what."""
COLUMN = 28


def run(words: Sequence[str]) -> int:
    """Print the lists that are named, or recipes, blocks and modalities."""
    words, as_json = switch(words, "json")
    chosen = {key: value for key, _, value in (word.partition("=") for word in words if "=" in word)}
    parts, folder = _parts([word for word in words if "=" not in word], chosen)
    found = {part: _rows(part, chosen, folder) for part in parts}
    if as_json:
        print_json({part: [{k: v for k, v in row.items() if k != "line"} for row in rows] for part, rows in found.items()})
        return 0
    for part, rows in found.items():
        print("\n".join([f"{part}:", *_lines(part, rows)]))
    return 0


def _parts(named: list[str], chosen: dict[str, str]) -> tuple[list[str], str | None]:
    """The lists that are meant, and the folder that stands behind ``runs``. UserError for what is misspelt or does not
    go together."""
    folder = None
    if "runs" in named and len(named) > (at := named.index("runs") + 1) and named[at] not in (*PARTS, *SLOTS):
        folder = named.pop(at)
    for part in named:
        if part not in (*PARTS, *SLOTS):
            raise unknown("list", part, [*PARTS, *SLOTS, *(f"{key}=NAME" for key in FILTERS)])
    for key in chosen:
        if key not in FILTERS:
            raise unknown("key", key, FILTERS)
        if any(part != FILTERS[key] for part in named):
            what = FILTERS[key]
            raise UserError(f"{key}= chooses among {what} alone: maskedmod ls {what} {key}={chosen[key]}")
    wanted = {FILTERS[key] for key in chosen}
    if len(wanted) > 1:
        raise UserError(f"recipe= chooses among presets and {', '.join(sorted({*chosen} - {'recipe'}))}= among recipes; give one")
    return named or [*wanted] or list(PARTS[:3]), folder


def _rows(part: str, chosen: dict[str, str], folder: str | None) -> list[Row]:
    if part == "recipes":
        return lists.recipes(chosen.get("modality"), chosen.get("family"))
    if part == "presets":
        return lists.presets(chosen.get("recipe"))
    if part == "runs":
        return lists.runs(folder)
    others: dict[str, Callable[[], list[Row]]] = {
        "blocks": lists.blocks, "modalities": lists.modalities, "checkpoints": lists.published
    }  # fmt: skip
    return others[part]() if part in others else lists.blocks(part)


def _lines(part: str, rows: list[Row]) -> list[str]:
    if part == "recipes":
        return recipes([recipe_head.Head(**row) for row in rows])
    if part == "modalities":
        return [entry(f"  {row['name']} ", row["summary"], COLUMN) for row in rows]
    if part == "checkpoints":
        return [_checkpoint(row) for row in rows]
    if part == "presets":
        return [entry(f"  {row['recipe']} preset={row['name']} ", _sets(row), 6) for row in rows] or ["  none"]
    if part == "runs":
        return [entry(f"  {row['run']} ", row["line"], COLUMN) for row in rows] or ["  none"]
    kept = [entry(f"  {row['slot']}={row['name']} ", _block(row, part != "blocks"), COLUMN) for row in rows]
    return [*kept, *(f"  not usable: entry point {name}, whose name is no slot.NAME" for name in catalog.misnamed())]


def recipes(found: list[recipe_head.Head]) -> list[str]:
    """Recipes under their modality and family, with counts, and a last line with the total."""
    out = []
    for kind, families in recipe_head.groups(found).items():
        out.append(f"  {kind} ({sum(map(len, families.values()))})")
        for name, heads in families.items():
            out.append(f"    {name} ({len(heads)})")
            out += [entry(f"      {head.name} ", head.system.partition("; ")[0], COLUMN) for head in heads]
    return [*out, recipe_head.total(found)]


def _block(row: Row, arguments: bool) -> str:
    """Summary of a block and, where one slot is asked for, its arguments: those without a value must be given."""
    if not arguments or not row["arguments"]:
        return str(row["summary"])
    given = ", ".join(name if default is None else f"{name}={default}" for name, default in row["arguments"].items())
    return f"{row['summary']} [{given}]"


def _sets(row: Row) -> str:
    return " ".join(f"{key}={str(value)[: lists.MOST]}" for key, value in row["sets"].items())


def _checkpoint(row: Row) -> str:
    facts = [row["recipe"], row["holds"], row["target"], row["size"], row["licence"], row["scores"]]
    facts += ["by hand" if row["by_hand"] else "", "id not confirmed" if row["unconfirmed"] else ""]
    return entry(f"{'*' if row['loads'] else ' '} {row['name']} ", "; ".join(fact for fact in facts if fact), 6)
