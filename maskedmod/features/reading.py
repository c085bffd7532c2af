"""A loaded model that reads sequences in longer or shorter windows than it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from maskedmod.errors import UserError
from maskedmod.recipe.build import build_modality
from maskedmod.recipe.config import with_words
from maskedmod.recipe.layering import chosen
from maskedmod.zoo.loaded import Loaded


def reading(loaded: Loaded, words: Sequence[str]) -> Loaded:
    """The same weights with ``words`` such as ``modality.max_length=1022`` laid over the recipe. UserError for whatever is not in
    the modality's ``windowing``: other settings belong to the weights."""
    if not words:
        return loaded
    own = loaded.modality.windowing
    for word in words:
        if word.partition("=")[0] not in [f"modality.{key}" for key in own]:
            may = f"of modality only {', '.join(own)}" if own else f"nothing of modality={chosen(loaded.tree['modality'])}"
            raise UserError(f"{word!r}: the weights were trained with their modality; {may} can be changed here")
    tree = with_words(loaded.tree, words)
    modality = build_modality(tree)
    modality.statistics.update(loaded.modality.statistics)
    loaded.model.modality = modality
    return replace(loaded, tree=tree)
