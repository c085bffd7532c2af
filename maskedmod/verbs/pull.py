"""maskedmod pull NAME[@REVISION] ...

Fetches checkpoints and prints where they are: a name of `maskedmod ls checkpoints`, or ORG/NAME of the Hugging Face Hub.
"""

from __future__ import annotations

from collections.abc import Sequence

from maskedmod.errors import UserError, unknown
from maskedmod.zoo import checkpoints
from maskedmod.zoo.fetch import names


def run(words: Sequence[str]) -> int:
    """Fetch each, in order."""
    if not words:
        raise UserError(
            "name a checkpoint: maskedmod pull facebook/vit-mae-base; maskedmod ls checkpoints lists those that are known"
        )
    words = [word.removeprefix("checkpoint=") for word in words]
    for word in words:
        if not names.is_name(word):
            raise unknown("checkpoint", word, checkpoints.entries())
    for word in words:
        print(names.located(word))
    return 0
