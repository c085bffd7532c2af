"""maskedmod cp recipe=NAME [output=FILE.yaml]

Copies a recipe, comments and all, to a file that you edit; `maskedmod train recipe=FILE.yaml` runs it. Never overwrites.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskedmod.errors import UserError
from maskedmod.recipe import file as recipe_file
from maskedmod.recipe.config import split_words


def run(words: Sequence[str]) -> int:
    """Copy one recipe file."""
    given = dict(split_words(words, ("recipe", "output")))
    if "recipe" not in given:
        raise UserError(f"name a recipe: recipe=NAME, one of {', '.join(recipe_file.names())}")
    source = recipe_file.find(str(given["recipe"]))
    target = Path(str(given.get("output") or source.name)).expanduser()
    if target.is_dir():
        target = target / source.name
    if target.suffix not in recipe_file.ENDINGS:
        raise UserError(f"output={target}: the file name must end in .yaml")
    if not target.parent.is_dir():
        raise UserError(f"output={target}: the folder {target.parent} does not exist")
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(source.read_text(encoding="utf-8"))
    except FileExistsError:
        raise UserError(f"output={target} exists already; name another file with output=") from None
    print(f"{target}; train it with: maskedmod train recipe={target if '/' in str(target) else './' + str(target)}")
    return 0
