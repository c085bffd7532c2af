"""maskedmod embed checkpoint=RUN_OR_MODEL input=FOLDER|FILE|PARQUET output=FILE.parquet|.npy|.safetensors [key=value ...]

Writes the features of every input, one row each, in the order of the input. Killed and started again with the same words, it
goes on where it was, and the output is the same byte for byte.

  maskedmod embed checkpoint=runs/a input=photos/ output=features.parquet
  maskedmod embed checkpoint=runs/a input=cifar10/test.parquet output=features.npy layer=-2
  maskedmod embed checkpoint=runs/a data=hf data.path=cifar10 data.split=test output=features.safetensors

checkpoint=PATH   a run folder, one checkpoint in it, or weights that maskedmod.load reads
input=PATH        a folder, a file, a .parquet file, a folder or glob of such, a FASTA, CSV or TSV file of sequences, a
                  file of SMILES or of lines of text (default: the run's own validation set)
output=PATH       the file; its ending is the format
pool=mean         mean of the tokens (of sequences without class and end token); sum; max; mean_max: mean plus the largest value;
                  cls: the class token; none: every token
layer=N           output of block N, from 0 or negative from the end (default: what comes out of the encoder)
batch_size=64     samples at a time
workers=0         processes that decode
device=NAME       cpu, cuda, ... (default: a GPU when there is one)
resume=auto       auto goes on from an unfinished run; never begins anew
data=hf, data.*   a data set of Hugging Face in place of input; for sequences also data=fasta, csv, parquet with their keys
modality=NAME     of weights of a sequence model: protein, molecule or text (default: told by the vocabulary)
vocabulary=FILE   its tokens (default: found beside the weights or one folder up); special={mask: X}: its special tokens by role;
                  prefix=, layout=, settings={...}: see docs/loading.md
modality.max_length=N, modality.overlap=N   of proteins: residues that the encoder sees at once, other than in training

Inputs that cannot be used are rows of NaN. They, and inputs of which something was lost or converted, are listed with the reason
in OUTPUT.rejected.jsonl.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe.config import split_words
from maskedmod.zoo.how import HOW, how

KEYS = ("checkpoint", "input", "output", "pool", "layer", "batch_size", "workers", "device", "resume", "data", *HOW)


def run(words: Sequence[str]) -> int:
    """Embed, and say in one line what is in the output."""
    data = [word for word in words if word.startswith(("data=", "data."))]
    windows = [word for word in words if word.startswith("modality.")]
    given = dict(split_words([word for word in words if word not in (*data, *windows)], KEYS))
    split_words([*data, *windows], KEYS)
    for key, what in (("checkpoint", "a run folder or weights"), ("output", "a .parquet, .npy or .safetensors file")):
        if not given.get(key):
            raise UserError(f"name {what}: {key}=PATH")
    if given.get("resume", "auto") not in ("auto", "never"):
        raise UserError(f"resume={given['resume']!r}: accepted are auto, never")
    from maskedmod.embed import embed

    done = embed(
        str(given["checkpoint"]),
        None if given.get("input") is None else str(given["input"]),
        str(given["output"]),
        pool=given.get("pool", "mean"),
        layer=given.get("layer"),
        batch_size=_count(given, "batch_size", 64, 1),
        workers=_count(given, "workers", 0, 0),
        device=None if given.get("device") is None else str(given["device"]),
        resume=given.get("resume", "auto") == "auto",
        data=data,
        windows=windows,
        how=how(given),
    )
    if done.resumed:
        print(f"{done.resumed} rows were there already", file=sys.stderr)
    for note in done.notes:
        print(note)
    listed = f"; listed in {done.listed}" if done.rejected or done.altered else ""
    print(f"{done.output}: {done.rows} rows, {done.rejected} rejected, {done.altered} altered{listed}")
    return 0


def _count(given: dict[str, Any], key: str, default: int, least: int) -> int:
    value = given.get(key, default)
    if type(value) is not int or value < least:
        raise UserError(f"{key} expects an integer of at least {least}, got {value!r}")
    return value
