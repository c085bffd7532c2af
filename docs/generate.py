"""Writes docs/recipes.md, the reference of recipes and blocks, from signatures and docstrings, and the table at the end of
docs/checkpoints.md, and the picture of the rooms in docs/architecture.md: python docs/generate.py"""

from __future__ import annotations

import ast
import importlib.util
import inspect
from pathlib import Path

from maskedmod.core.model import Objective
from maskedmod.recipe import catalog, schema
from maskedmod.recipe import file as recipe_file
from maskedmod.recipe import head as recipe_head
from maskedmod.recipe.config import SCALARS
from maskedmod.recipe.settings import TrainSettings
from maskedmod.zoo import checkpoints

HERE = Path(__file__).resolve().parent
ROOMS = HERE / "images" / "rooms.svg"
HEAD = """# Recipes and blocks

Written by `python docs/generate.py` from the signatures and docstrings; do not edit.

A recipe is one YAML file. Every key below is also a word of the command line: `maskedmod train recipe=mae mask.ratio=0.6`.
A block is `name` or `{name: {argument: value}}`. Swapping a block drops the arguments of the old one, naming the same block
keeps them; words with fewer dots apply before words with more. `maskedmod show recipe=NAME` prints a recipe with every default.
A type such as `{start, end, shape, steps}` is a schedule over the run.
"""
SCALAR_TEXTS = {
    "out": "run folder; a new one under `runs/` when it is not named",
    "seed": "first weights, order of the data, masks",
    "resume": "`auto` goes on from the newest checkpoint in `out`; `never` does not",
    "init": "a run or a checkpoint to start from; `init.resize` and `init.channels` fit other sizes",
}


def reference() -> str:
    """The whole page."""
    parts = [HEAD, *_recipes(), *_top(), *_settings()]
    for slot in catalog.SLOTS:
        for modality in catalog.names("modality") if slot == "augment" else [None]:
            parts += _slot(slot, modality)
    return "\n".join(parts).rstrip() + "\n"


def _recipes() -> list[str]:
    """A table for each modality, the families one after another."""
    found = recipe_head.heads()
    lines = ["## Recipes", "", f"{recipe_head.total(found)}. `maskedmod ls recipes modality=NAME family=NAME` prints a part.", ""]
    for modality, families in recipe_head.groups(found).items():
        lines += [f"### Recipes: {modality} ({sum(map(len, families.values()))})", ""]
        lines += ["| family | recipe | presets | system |", "|---|---|---|---|"]
        for head in (head for heads in families.values() for head in heads):
            tree = recipe_file.load_tree(recipe_file.find(head.name))
            presets = ", ".join(f"`{preset}`" for preset in tree.get("presets") or {})
            lines.append(f"| {head.family} | `{head.name}` | {presets} | {head.system} |")
        lines.append("")
    return lines


def _top() -> list[str]:
    lines = ["## Top-level keys", "", "| key | default | |", "|---|---|---|"]
    lines += [f"| `{key}` | {'null' if default is None else default} | {SCALAR_TEXTS[key]} |" for key, default in SCALARS.items()]
    lines += ["", "`objectives: {NAME: {target, head, loss, ...}}` adds further objectives to the one called `main`, whose"]
    lines += ["three blocks stand at the top of the recipe. Each may also have:", "", *_table(schema.describe(Objective, 3)), ""]
    lines += ["`optimizers: {NAME: block}` adds optimisers that an objective names. `stages: [{name, ...overrides}]` trains one"]
    return [*lines, "after another, each from the weights of the one before.", ""]


def _settings() -> list[str]:
    """The ``train:`` slot; its fields are described by the strings under them."""
    body = ast.parse(inspect.getsource(TrainSettings)).body[0]
    assert isinstance(body, ast.ClassDef)
    texts: dict[str, str] = {}
    for field, text in zip(body.body, body.body[1:]):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            texts[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    lines = ["## train", "", "| key | type | default | |", "|---|---|---|---|"]
    for name, kind, default in schema.describe(TrainSettings):
        lines.append(f"| `{name}` | {kind} | {default} | {texts.get(name, '').replace('``', '`')} |")
    return [*lines, ""]


def _slot(slot: str, modality: str | None) -> list[str]:
    lines = []
    names = catalog.names(slot, modality)
    if names:
        lines += [f"## {slot}" + (f" ({modality})" if modality else ""), ""]
    for name in names:
        cls = catalog.load(slot, name, modality)
        text = inspect.cleandoc(cls.__doc__ or "").replace("``", "`")
        lines += [f"### {slot}={name}", "", catalog.entry(slot, name, modality).summary.replace("``", "`"), "", text, ""]
        lines += [*_table(schema.describe(cls, catalog.GIVEN.get(slot, 0))), ""]
    return lines


def _table(rows: list[tuple[str, str, str]]) -> list[str]:
    if not rows:
        return ["No arguments."]
    return [
        "| argument | type | default |",
        "|---|---|---|",
        *(f"| `{name}` | {kind} | {default} |" for name, kind, default in rows),
    ]


BEGIN, END = "<!-- catalogue -->\n", "<!-- end of catalogue -->\n"


def with_checkpoints(page: str) -> str:
    """docs/checkpoints.md with its table anew."""
    head, _, rest = page.partition(BEGIN)
    return "".join([head, BEGIN, _checkpoints(), END, rest.partition(END)[2]])


def _checkpoints() -> str:
    lines = ["| name | recipe | holds | predicted | about | licence | scores as published | read as |", "|---" * 8 + "|"]
    for entry in checkpoints.entries().values():
        hand = f" ([by hand]({entry.page}))" if entry.page else " (id not confirmed)" if entry.unconfirmed else ""
        facts = [entry.recipe, entry.holds, entry.target, entry.size, entry.licence, entry.scores]
        read = f"`{entry.layout}`" if entry.layout else "not yet"
        lines.append(f"| `{entry.name}`{hand} | " + " | ".join([*facts, read]) + " |")
    return "\n".join(lines) + "\n"


def rooms() -> str:
    """docs/images/rooms.svg."""
    spec = importlib.util.spec_from_file_location("rooms_picture", HERE / "rooms_picture.py")
    assert spec is not None and spec.loader is not None
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    return str(drawing.picture())


if __name__ == "__main__":
    ROOMS.write_text(rooms(), encoding="utf-8")
    (HERE / "recipes.md").write_text(reference(), encoding="utf-8")
    page = HERE / "checkpoints.md"
    page.write_text(with_checkpoints(page.read_text(encoding="utf-8")), encoding="utf-8")
    print(HERE / "recipes.md", page, ROOMS)
