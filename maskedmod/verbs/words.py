"""The grammar that all verbs share: the main thing as a first word, ``quiet=true`` and ``json=true``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe.config import split_words
from maskedmod.verbs import MAIN


def spoken(verb: str, words: Sequence[str]) -> list[str]:
    """The words with ``key=`` before the first one that has no key: ``eval runs/a`` is ``eval checkpoint=runs/a``. A word
    without a key is left as it is, for the verb to refuse, where the main thing is named by its key already."""
    key = MAIN.get(verb)
    bare = [number for number, word in enumerate(words) if "=" not in word and not word.startswith("-")]
    if key is None or not bare or any(word.partition("=")[0] == key for word in words):
        return list(words)
    return [f"{key}={word}" if number == bare[0] else word for number, word in enumerate(words)]


def switch(words: Sequence[str], key: str) -> tuple[list[str], bool]:
    """The words without ``key=``, and whether it is ``true``. UserError for another value than true or false."""
    found = False
    for name, value in split_words([word for word in words if word.partition("=")[0] == key], (key,)):
        if type(value) is not bool:
            raise UserError(f"{name} expects true or false, got {value!r}")
        found = value
    return [word for word in words if word.partition("=")[0] != key], found


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on standard output; a number that is not finite, which JSON has not, is null."""
    print(json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)
