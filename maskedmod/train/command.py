"""From words to a run folder: what ``maskedmod train`` and ``maskedmod.train`` do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stderr, suppress
from pathlib import Path
from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe.config import resolve, stages
from maskedmod.train.claim import new_folder


def train(
    recipe: str | Path,
    *words: str,
    preset: str | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    quiet: bool = False,
) -> Path:
    """Train a recipe -> its run folder, which ``maskedmod.load`` reads.

    ``recipe``: a name, a YAML file, or a run folder whose recipe it is. ``words``: as on the command line, such as
    ``"data=folder"``, ``"data.path=photos/"``, ``"train.steps=500"``. ``out``: the run folder (default: a new ``runs/RECIPE``);
    an existing one of the same recipe goes on. ``quiet``: nothing on standard error. UserError, in one line, for whatever does
    not fit; with no data named it is the demo, which is said.
    """
    named = {"recipe": recipe, "preset": preset, "out": out, "seed": seed}
    said = [f"{key}={value}" for key, value in named.items() if value is not None]
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stderr(nowhere) if quiet else nullcontext():
        return train_words([*said, *words], say)


def train_words(words: Sequence[str], say: Callable[[str], None]) -> Path:
    """Resolve, then train every stage -> the run folder (of stages: the one that holds theirs)."""
    from maskedmod.train.run import train as train_tree

    tree = resolve(words, say=say)
    if not tree.get("data"):
        raise UserError("no data named: write data=folder data.path=DIR, or preset=demo for the built-in sample")
    runs = Path("runs")
    mine = not runs.exists()
    tree["out"] = tree["out"] or default_out(tree, any(word.startswith("resume=") for word in words))
    try:
        for stage in in_order(tree):
            train_tree(stage)
    finally:
        if mine:  # empty again where the command came to nothing
            with suppress(OSError):
                runs.rmdir()
    return Path(tree["out"])


def in_order(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """Trees to train one after another; every stage starts from the weights of the one before."""
    if not tree.get("stages"):
        return [tree]
    out, before, made = Path(tree["out"]), tree["init"], []
    for number, (name, stage) in enumerate(stages(tree), 1):
        made.append({**stage, "out": str(out / f"{number}_{name}"), "init": stage.get("init") if before is None else before})
        before = made[-1]["out"]
    return made


def default_out(tree: dict[str, Any], resumes: bool) -> str:
    """``runs/RECIPE[-PRESET]``; a new one each time, or the newest when ``resume=`` was written."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("name the run folder with out=DIR: several processes must agree on it")
    path = Path(str(tree["recipe"]).rsplit(",", 1)[-1])
    stem = path.name if path.is_dir() else path.stem
    base = "-".join([stem, *str(tree.get("preset") or "").split(",")]).rstrip("-")
    taken, number = None, 1
    while (path := Path("runs") / (base if number == 1 else f"{base}-{number}")).exists():
        taken, number = path, number + 1
    return str(taken if resumes and taken is not None else new_folder(base))


def say(line: str) -> None:
    """To the reader, by the first of several processes alone."""
    if int(os.environ.get("RANK", "0")) == 0:
        sys.stderr.write(line + "\n")
