"""maskedmod train recipe=NAME [key=value ...]

Trains a recipe into a run folder. With no data named it means preset=demo: small, on the built-in sample.

  maskedmod train recipe=audio_mae
  maskedmod train recipe=audio_mae preset=tiny data=folder data.path=DIR
  maskedmod train recipe=mae mask=block mask.ratio=0.4 train.steps=1000 out=runs/a
  maskedmod train recipe=runs/a/recipe.yaml out=runs/a            goes on from the newest checkpoint
  torchrun --nproc-per-node 2 -m maskedmod train recipe=mae data=folder data.path=DIR out=runs/b

out=DIR        run folder (default: a new runs/RECIPE)
seed=0         first weights, order of the data, masks
resume=auto    auto: go on from the newest checkpoint in out; never: stop when there is one
init=NAME      start from the weights of a run, a file or a checkpoint on the hub; init.resize=bicubic|bilinear|nearest fits
               positions and patches to another size, init.channels=mean|sum|repeat to other channels
train.*        epochs, steps, batch_size, lr, precision, log_every, checkpoint_every, ...: `maskedmod show recipe=NAME` lists all
A block is swapped by its name (mask=block) and set by its arguments (mask.ratio=0.4); `maskedmod ls blocks` lists them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe.config import resolve, stages


def run(words: Sequence[str]) -> int:
    """Resolve, then train every stage."""
    import numpy  # noqa: F401  (before torch, which imports it in C, swallows a Ctrl-C meanwhile and goes on without numpy)

    first = int(os.environ.get("RANK", "0")) == 0
    tree = resolve(words, say=_say if first else _silent)
    if not tree.get("data"):
        raise UserError("no data named: write data=folder data.path=DIR, or preset=demo for the built-in sample")
    from maskedmod.train.run import train

    runs = Path("runs")
    mine = not runs.exists()
    tree["out"] = tree["out"] or _default_out(tree, any(word.startswith("resume=") for word in words))
    try:
        for stage in _in_order(tree):
            train(stage)
    finally:
        if mine:  # empty again where the command came to nothing
            with suppress(OSError):
                runs.rmdir()
    return 0


def _in_order(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """Trees to train one after another; every stage starts from the weights of the one before."""
    if not tree.get("stages"):
        return [tree]
    out, before, made = Path(tree["out"]), tree["init"], []
    for number, (name, stage) in enumerate(stages(tree), 1):
        made.append({**stage, "out": str(out / f"{number}_{name}"), "init": stage.get("init") if before is None else before})
        before = made[-1]["out"]
    return made


def _default_out(tree: dict[str, Any], resumes: bool) -> str:
    """``runs/RECIPE[-PRESET]``; a new one each time, or the newest when ``resume=`` was written."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("name the run folder with out=DIR: several processes must agree on it")
    from maskedmod.train.claim import new_folder

    stem = Path(str(tree["recipe"]).rsplit(",", 1)[-1]).stem
    base = "-".join([stem, *str(tree.get("preset") or "").split(",")]).rstrip("-")
    taken, number = None, 1
    while (path := Path("runs") / (base if number == 1 else f"{base}-{number}")).exists():
        taken, number = path, number + 1
    return str(taken if resumes and taken is not None else new_folder(base))


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _silent(line: str) -> None:
    """The first process alone speaks."""
