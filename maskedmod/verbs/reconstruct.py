"""maskedmod reconstruct checkpoint=RUN_OR_MODEL [input=FILE|DIR] [output=FILE.png|DIR] [key=value ...]

Draws original, masked, mean-fill and reconstruction of samples, with the error over the masked places under each.

  maskedmod reconstruct checkpoint=runs/a                              samples of the run's validation set
  maskedmod reconstruct checkpoint=runs/a input=photo.jpg mask.ratio=0.5 output=photo.png

checkpoint=PATH   a run folder, one checkpoint in it, or weights that maskedmod.load reads
input=PATH        a file, or a folder of files (default: the run's own validation set)
output=PATH       a PNG file, or a folder (default: pictures/ of the run)
samples=8         how many are drawn (of a large graph one part)
columns=N         samples side by side (default: as many as look well)
rows=N            rows of samples: with columns, in place of samples, rows x columns of them
seed=0            of the mask
wav=false         sound files too (original, masked, mean-fill, reconstruction), for modalities that can be heard
mask=, mask.*     another mask than the run's
modality=NAME     of weights of a sequence model: protein, molecule or text (default: told by the vocabulary)
vocabulary=FILE   its tokens (default: found beside the weights or one folder up); special={mask: X}: its special tokens by role;
                  prefix=, layout=, settings={...}: see docs/loading.md
modality.*        in what windows long samples are read, such as modality.fit=windows for sounds
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe.config import split_words
from maskedmod.zoo.how import HOW, how

KEYS = ("checkpoint", "input", "output", "samples", "columns", "rows", "seed", "wav", "mask", *HOW)
KINDS = {"samples": int, "columns": int, "rows": int, "seed": int, "wav": bool}


def run(words: Sequence[str]) -> int:
    """Draw, and print the paths of what was written."""
    windows = [word for word in words if word.startswith("modality.")]
    given = dict(split_words([word for word in words if not word.startswith(("mask", "modality."))], KEYS))
    masks = [word for word in words if word.startswith("mask")]
    split_words(masks, KEYS)
    if not given.get("checkpoint"):
        raise UserError("name the model: checkpoint=RUN, a run folder, one of its checkpoints, or weights")
    for key, kind in KINDS.items():
        if key in given and type(given[key]) is not kind:
            raise UserError(f"{key} expects {'true or false' if kind is bool else 'an integer'}, got {given[key]!r}")
    for key in ("samples", "columns", "rows"):
        if given.get(key, 1) < 1:
            raise UserError(f"{key} must be at least 1, got {given[key]}")
    paths = {key: None if given.get(key) is None else str(given[key]) for key in ("checkpoint", "input", "output")}
    from maskedmod.reconstruct.run import reconstruct_run

    others = _grid({key: given[key] for key in KINDS if key in given})
    place = str(paths["checkpoint"]), paths["input"], paths["output"]
    say = partial(print, file=sys.stderr)
    for path in reconstruct_run(*place, masks, windows=windows, **others, how=how(given), say=say):
        print(path)
    return 0


def _grid(given: dict[str, Any]) -> dict[str, Any]:
    """``rows`` turned into samples or columns, whichever is not given. UserError when both are, and do not agree."""
    rows = given.pop("rows", None)
    if rows is None:
        return given
    if "samples" not in given:
        given["samples"] = rows * given["columns"] if "columns" in given else max(rows, 8)
    columns = -(-given["samples"] // rows)
    if given.setdefault("columns", columns) != columns:
        raise UserError(f"{given['samples']} samples in {given['columns']} columns have not {rows} rows; give two of the three")
    return given
