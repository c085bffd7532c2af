"""maskedmod eval checkpoint=RUN protocol=knn|linear|ridge|svm [data=... data.*=...] [key=value ...]

Judges frozen features. The table always has three rows: pre-trained, the same encoder at random initialisation, and the
modality's raw features. Every setting is chosen on the training part; the test part is only looked at once.

  maskedmod eval checkpoint=runs/a protocol=knn                                     the run's own data
  maskedmod eval checkpoint=runs/a protocol=linear data=folder data.path=photos/    train and validation part of other data
  maskedmod eval checkpoint=runs/s0,runs/s1,runs/s2 protocol=linear                 runs of three seeds
  maskedmod eval checkpoint=runs/a protocol=svm folds=10 seeds=5                    folds over all samples

checkpoint=PATH   a run folder, one checkpoint in it, or published weights; several with commas
protocol=NAME     knn (k=20 temperature=0.07), linear (grid=[C, ...]), svm (grid, inner=5), ridge (grid=[alpha, ...], for numbers)
data=, data.*     laid over the run's recipe; the parts are the source's own (train, val)
seeds=3           random initialisations, and draws of the part that settings are chosen on
split=NAME        a named split over all samples in place of the source's: random, or one of the modality's (of molecules:
                  scaffold_deepchem, scaffold_pretrain_gnns, scaffold_random, scaffold_balanced)
folds=0           judge by folds over all samples in place of the source's split
pool=mean         mean over tokens, cls (class token), both, axis (mean over time, all frequencies side by side)
encoder=student   or teacher, where the method has one
samples=N         at most so many training samples, drawn with seed 0
output=FILE       default: eval.json in the run folder
batch_size=128    of the encoder;  workers=0 reading processes;  device=cpu|cuda
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskedmod.config import split_words
from maskedmod.errors import UserError

KINDS: dict[str, Any] = {
    "pool": str, "split": str, "encoder": str, "device": str, "seeds": int, "folds": int, "samples": int, "batch_size": int,
    "workers": int,
}  # fmt: skip
ARGUMENTS: dict[str, Any] = {"k": int, "temperature": float, "grid": list, "inner": int, "iterations": int}
KEYS = ("checkpoint", "protocol", "data", *KINDS, *ARGUMENTS, "output")


def run(words: Sequence[str]) -> int:
    """Judge, print the table, write eval.json."""
    data = [word for word in words if word.startswith(("data=", "data."))]
    given = dict(split_words([word for word in words if word not in data], KEYS))
    for key in ("checkpoint", "protocol"):
        if not given.get(key):
            raise UserError(f"{key} is missing: maskedmod eval checkpoint=RUN protocol=knn|linear|ridge|svm")
    checkpoints = str(given["checkpoint"]).split(",")
    settings = {key: _typed(key, given[key], kind) for key, kind in KINDS.items() if key in given}
    arguments = {key: _typed(key, given[key], kind) for key, kind in ARGUMENTS.items() if key in given}
    from maskedmod.evaluate.prepare import Settings
    from maskedmod.evaluate.run import build, evaluate

    build(str(given["protocol"]), arguments)  # what is misspelt is said before anything is computed
    result = evaluate(checkpoints, str(given["protocol"]), data, Settings(**settings), **arguments)
    print(result.text())
    print(f"\n{result.write(_output(given.get('output'), checkpoints[0]))}")
    return 0


def _typed(key: str, value: Any, kind: type) -> Any:
    """The value, an int taken for a float and one number for a list of it; UserError when it is of another kind."""
    if kind is float and type(value) is int:
        return float(value)
    if kind is list:
        numbers = value if isinstance(value, list) else [value]
        if all(type(number) in (int, float) for number in numbers):
            return [float(number) for number in numbers]
    elif type(value) is kind:
        return value
    what = {int: "an integer", float: "a number", str: "a word", list: "a list of numbers such as [0.01,0.1,1]"}[kind]
    raise UserError(f"{key} expects {what}, got {value!r}")


def _output(wanted: Any, checkpoint: str) -> Path:
    """``output``, a file or a folder; else beside the recipe of the run, or here for weights that are no run."""
    if wanted is not None:
        path = Path(str(wanted))
        return path if path.suffix == ".json" else path / "eval.json"
    start = Path(checkpoint)
    for folder in (start, *list(start.parents)[:3]):
        if (folder / "recipe.yaml").is_file():
            return folder / "eval.json"
    return Path("eval.json")
