"""The grammar of ``key=value`` words: recipes, presets and overrides laid over one another into one plain tree.

Layers, later over earlier: every ``recipe=`` file in turn, each followed by its presets, then the words, shallow before deep.
Nothing here imports torch until ``resolve`` asks the schema for types and defaults.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from maskedmod.errors import UserError, nearest, unknown
from maskedmod.recipe import catalog
from maskedmod.recipe import file as recipe_file
from maskedmod.recipe.layering import Path, lay_over

SCALARS: dict[str, Any] = {"out": None, "seed": 0, "resume": "auto", "init": None}
"""Top-level settings that are no block, with their defaults."""
TEXTS = ("out", "resume", "init", "recipe", "preset")
KEYS = (*catalog.SLOTS, "objectives", "optimizers", "train", "stages", *SCALARS)
WORDS = ("recipe", "preset", *KEYS)


def resolve(overrides: Sequence[str], say: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Words -> the resolved tree: every name known, every value of the right type, every default written out.

    ``say`` is given when data are needed: with none named it chooses ``preset=demo`` and is called with the line that says so.
    UserError, one line, for anything misspelt, missing or of a wrong type.
    """
    from maskedmod.recipe.schema import complete

    return complete(resolve_names(overrides, say))


def resolve_names(overrides: Sequence[str], say: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Words -> the layered tree, without types and defaults. Imports nothing heavy."""
    words = split_words(overrides)
    recipes = [name for key, value in words if key == "recipe" for name in str(value).split(",")]
    presets = [name for key, value in words if key == "preset" for name in str(value).split(",")]
    rest = [(key, value) for key, value in words if key not in ("recipe", "preset")]
    if not recipes:
        raise UserError(f"name a recipe: recipe=NAME, one of {', '.join(recipe_file.names())}, or recipe=FILE.yaml")
    files = [(name, _load(name)) for name in recipes]
    if say is not None and not presets and not _data_named(rest, files):
        presets = _demo(recipes, files, say)
    tree = _layered(files, presets)
    _lay_words(tree, rest)
    head = {"recipe": ",".join(recipes)} | ({"preset": ",".join(presets)} if presets else {})
    return head | {key: tree[key] for key in KEYS if key in tree} | {k: tree.get(k, v) for k, v in SCALARS.items()}


def with_words(tree: dict[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """A copy of a resolved tree with words such as ``mask.ratio=0.5`` laid over it."""
    out = copy.deepcopy(tree)
    _lay_words(out, split_words(words))
    return out


def split_words(words: Iterable[str], known: Sequence[str] = WORDS) -> list[tuple[str, Any]]:
    """``key=value`` words -> pairs with YAML values; the first part of every key is one of ``known``."""
    pairs = []
    for word in words:
        key, equals, text = word.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UserError(f"{word!r} is not of the form key=value{_meant(word.lstrip('-'), known)}")
        root = key.partition(".")[0]
        if root not in known:
            raise unknown("key", root, known)
        pairs.append((key, _value(key, text)))
    return pairs


def _value(key: str, text: str) -> Any:
    """The YAML value of a word. What begins like a YAML alias, tag or directive is text, since a word has none: ``*.wav``."""
    if (key in TEXTS and text) or text.startswith(("*", "&", "!", "%", "@")):
        return text
    try:
        return recipe_file.parse(text, key)
    except UserError as error:
        raise UserError(f"""{error}; if it is meant as text, quote it twice: {key}='"{text}"'""") from None


def _meant(word: str, known: Sequence[str]) -> str:
    """What a word without ``=`` was perhaps meant to be."""
    if "recipe" in known and word in recipe_file.names():
        return f"; did you mean recipe={word}?"
    return nearest(word, known) or f"; keys are {', '.join(known)}"


def stages(tree: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Name and complete tree of every stage, in order; one called ``main`` when the recipe has none."""
    if not tree.get("stages"):
        return [("main", tree)]
    from maskedmod.recipe.schema import complete

    made = []
    for number, stage in enumerate(tree["stages"], 1):
        layer = {key: value for key, value in stage.items() if key != "name"}
        for key in layer:
            if key not in KEYS:
                raise unknown("key", str(key), ("name", *KEYS), f"in stage {number}")
        whole = copy.deepcopy({key: value for key, value in tree.items() if key != "stages"})
        _drop_rivals(whole, [f"train.{key}" for key in layer.get("train", {})])
        lay_over(whole, layer, f"stage {number}: ")
        made.append((str(stage.get("name", number)), complete(whole)))
    return made


def _load(name: str) -> dict[str, Any]:
    path = recipe_file.find(name)
    tree = recipe_file.load_tree(path)
    known = (*KEYS, "presets", "recipe", "preset")
    for key in tree:
        if key not in known:
            raise unknown("key", key, known, f"in recipe {path.name}")
    return tree


def _lay_words(tree: dict[str, Any], words: list[tuple[str, Any]]) -> None:
    """Shallow words before deep ones, whatever their order."""
    _drop_rivals(tree, [key for key, _ in words])
    for key, value in sorted(words, key=lambda word: word[0].count(".")):
        lay_over(tree, _nested(key, value), "")


def _layered(files: list[tuple[str, dict[str, Any]]], presets: list[str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    offered: dict[str, None] = {}
    for name, content in files:
        own = content.get("presets") or {}
        offered.update(dict.fromkeys(str(key) for key in own))
        layer = {key: value for key, value in content.items() if key not in ("presets", "recipe", "preset")}
        _lay(tree, layer, f"recipe {name}: ")
        chosen: dict[str, tuple[str, str]] = {}
        for preset in presets:
            if preset in own:
                _agrees(own, preset, chosen)
                _lay_preset(tree, own, preset, f"recipe {name}, ")
    for preset in presets:
        if preset not in offered:
            raise unknown("preset", preset, offered, f"of recipe {','.join(name for name, _ in files)}")
    return tree


def _agrees(own: dict[str, Any], preset: str, chosen: dict[str, tuple[str, str]]) -> None:
    """UserError when presets of a file given together are for different encoders or modalities: the later one's settings would be
    of a network that the earlier one did not mean. ``chosen`` gathers block and preset by key."""
    for key in ("encoder", "modality"):
        for block in _blocks(own, preset, key):
            before, other = chosen.setdefault(key, (block, preset))
            if before != block:
                raise UserError(
                    f"preset={other},{preset}: {other} is for {key}={before} and {preset} for {key}={block}; give one of them, "
                    "and what you need of the other as single settings"
                )


def _blocks(own: dict[str, Any], preset: str, key: str) -> list[str]:
    """Blocks that a preset names for a key, or else the preset that it builds on."""
    seen: list[Any] = []
    name: Any = preset
    while name in own and name not in seen:
        layer, seen = own[name] or {}, [*seen, name]
        if layer.get(key) is not None:
            return [layer[key]] if isinstance(layer[key], str) else list(layer[key])
        name = layer.get("preset")
    return []


def _lay_preset(tree: dict[str, Any], own: dict[str, Any], preset: str, where: str, above: tuple[str, ...] = ()) -> None:
    """One preset; its own ``preset:`` key names another one that is laid first."""
    layer = dict(own[preset] or {})
    base = layer.pop("preset", None)
    if base is not None:
        if base not in own or base in (*above, preset):
            raise unknown("preset", str(base), [name for name in own if name not in (*above, preset)], f"in preset {preset}")
        _lay_preset(tree, own, base, where, (*above, preset))
    _lay(tree, layer, f"{where}preset {preset}: ")


def _lay(tree: dict[str, Any], layer: dict[str, Any], where: str) -> None:
    for key in layer:
        if key not in KEYS:
            raise unknown("key", key, KEYS, f"in {where.rstrip(': ')}")
    if isinstance(layer.get("train"), dict):
        _drop_rivals(tree, [f"train.{key}" for key in layer["train"]])
    lay_over(tree, layer, where)


RIVALS = (("steps", "epochs"), ("lr", "base_lr"), ("warmup_steps", "warmup_epochs"))


def _drop_rivals(tree: dict[str, Any], given: Sequence[str]) -> None:
    """Two ways to say one thing (steps or epochs): a later layer's way removes the earlier layer's other way."""
    train = tree.get("train")
    if isinstance(train, dict):
        for pair in RIVALS:
            named = [key for key in pair if f"train.{key}" in given]
            for key in pair:
                if named and key not in named:
                    train.pop(key, None)


def _data_named(words: list[tuple[str, Any]], files: list[tuple[str, dict[str, Any]]]) -> bool:
    return any(key.partition(".")[0] == "data" for key, _ in words) or any("data" in content for _, content in files)


def _demo(recipes: list[str], files: list[tuple[str, dict[str, Any]]], say: Callable[[str], None]) -> list[str]:
    name = " ".join(f"recipe={recipe}" for recipe in recipes)
    published = f"maskedmod train {name} data=folder data.path=DIR"
    if not any("demo" in (content.get("presets") or {}) for _, content in files):
        raise UserError(f"no data named, and {name} has no preset demo; write {published}")
    say(f"no data named: preset=demo, small and on the built-in sample. The published configuration: {published}")
    return ["demo"]


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        if not part:
            raise UserError(f"{key}: an empty name between dots")
        value = Path({part: value})
    return value
