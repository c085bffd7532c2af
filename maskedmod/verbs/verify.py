"""maskedmod verify CHECKPOINT [against=transformers|timm|fair-esm]

Runs the original implementation, where it is installed, beside ours on the same random input, and prints the relative difference
of every layer and at the end. `alone` is our layer on the original's input: a wrong layer shows there and nowhere else;
`together` is the difference that has gathered up to it. The exit code is 1 where something differs by more than rounding.

  maskedmod verify facebook/vit-mae-base
  maskedmod verify mae_pretrain_vit_base.pth against=timm
  maskedmod verify runs/a                         written as transformers reads it first

against=LIBRARY   transformers, timm or fair-esm (default: the one whose layout the checkpoint has, else transformers)
modality=, vocabulary=, special=, prefix=, layout=, settings=   how weights are read, see docs/loading.md
"""

from __future__ import annotations

from collections.abc import Sequence

from maskedmod.errors import UserError
from maskedmod.recipe.config import split_words
from maskedmod.zoo.how import HOW, how

AGAINST = ("transformers", "timm", "fair-esm")
KEYS = ("checkpoint", "against", *HOW)


def run(words: Sequence[str]) -> int:
    """Compare and print."""
    given = dict(split_words(words, KEYS))
    if not given.get("checkpoint"):
        raise UserError("name the model: maskedmod verify CHECKPOINT")
    from maskedmod.zoo.verify import verify

    against = given.get("against")
    found = verify(str(given["checkpoint"]), None if against is None else str(against), how(given))
    print(found)
    return 1 if found.wrong else 0
