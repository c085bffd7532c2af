"""maskedmod convert RUN_OR_MODEL to=hf|timm|fair|fair-esm output=DIR [push=ORG/NAME]

Writes a model in a published layout, with a model card, so that the published code reads it.

  maskedmod convert runs/a to=hf output=mine                     a folder for transformers' from_pretrained
  maskedmod convert runs/a to=timm output=mine                   the encoder for timm.create_model
  maskedmod convert runs/esm2 to=fair-esm output=mine            esm2.pt and its contact regression
  maskedmod convert mae_pretrain_vit_base.pth to=hf output=mine  one published layout into another

to=FORMAT        hf, timm, fair (the authors' own .pth), fair-esm; or the name of a layout
output=DIR       a new or empty folder
version=4        names of transformers 4, which 5 reads too; 5: those of version 5
push=ORG/NAME    upload the folder to the Hugging Face Hub; the token is that of `hf auth login` or HF_TOKEN
private=false    of a new repository on the hub
modality=, vocabulary=, special=, prefix=, layout=, settings=   how weights are read, see docs/loading.md
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskedmod.errors import UserError
from maskedmod.recipe.config import split_words
from maskedmod.zoo.how import HOW, how

FORMATS = ("hf", "timm", "fair", "fair-esm")
KEYS = ("checkpoint", "to", "output", "version", "push", "private", *HOW)
NEEDED = (("checkpoint", "a run folder or a model"), ("to", "hf, timm, fair or fair-esm"), ("output", "a new folder"))


def run(words: Sequence[str]) -> int:
    """Convert, say what was written and what was left out, and push."""
    given = dict(split_words(words, KEYS))
    for key, what in NEEDED:
        if not given.get(key):
            raise UserError(f"{key} is missing: write {key}=... ({what})")
    if type(given.get("version", 4)) is not int or type(given.get("private", False)) is not bool:
        raise UserError("version expects 4 or 5, private true or false")
    from maskedmod.zoo.convert import convert, push

    done = convert(str(given["checkpoint"]), str(given["to"]), str(given["output"]), given.get("version", 4), how(given))
    print(f"layout {done.layout}: {done.count} tensors")
    for note in done.notes:
        print(f"note: {note}")
    for file in done.files:
        print(file)
    if given.get("push"):
        print(push(Path(str(given["output"])), str(given["push"]), private=given.get("private", False)))
    return 0
