"""Models by the name of their recipe, with fresh weights: what ``load`` gives, before any training."""

from __future__ import annotations

import torch

from maskedmod.api.loaded import Loaded
from maskedmod.recipe import file as recipe_file
from maskedmod.recipe import head as recipe_head
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.zoo.load import Checkpoints
from maskedmod.zoo.report import Report


def names(modality: str | None = None) -> list[str]:
    """Recipes that come with the package, or those of one modality."""
    if modality is None:
        return recipe_file.names()
    return [head.name for head in recipe_head.heads() if head.modality == modality]


def create(recipe: str, *words: str, preset: str | None = None, seed: int = 0) -> Loaded:
    """A model with fresh weights drawn from ``seed``, in eval mode on the CPU.

    ``recipe``: a name or a YAML file. ``preset``: one of the recipe's. ``words``: overrides as on the command line, such as
    ``"encoder.depth=6"``. A preset that measures mean and deviation on its data needs them given (``"modality.mean=imagenet"``)
    or put into ``.modality.statistics``. UserError, in one line, for names and values that do not fit.
    """
    chosen = [] if preset is None else [f"preset={preset}"]
    tree = resolve([f"recipe={recipe}", *chosen, *words])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(tree, checkpoints=Checkpoints()).eval()
    why = "fresh weights"
    return Loaded(model, Report("fresh", untrained=dict.fromkeys(model.state_dict(), why)), "fresh", tree)
