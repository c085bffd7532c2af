"""BEiT in pre-training, as microsoft/unilm saves it: token labels are predicted by ``lm_head``."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import FREE, TENSORS, Argument, only
from maskedmod.zoo.layouts.image import beit_parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule

NAME = "beit"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": None,
    "std": None,
    "heads": None,
    "mask_patches": None,
    "labels": "labels",
    "eps": 1e-6,
}
CONFIG: dict[str, str] = {}
REFERENCE = "microsoft/unilm@768a3c8 beit/modeling_pretrain.py VisionTransformerForMaskedImageModeling"
ARGUMENTS: dict[str, Argument] = {**beit_parts.VIT, "vocab_size": TENSORS, "attn_head_dim": only(None), "init_std": FREE}

AT = r"(?:model\.)?"
OUT = rf"{AT}lm_head\.weight"


def matches(weights: Weights) -> bool:
    return of_beit(weights) and not parts.has(weights, rf"{AT}cls_pt_layers\..*")


def of_beit(weights: Weights) -> bool:
    """BEiT, or one that does more."""
    return all(parts.has(weights, rf"{AT}{key}") for key in (r"lm_head\.weight", r"patch_embed\.proj\.weight", "mask_token"))


def recipe(weights: Weights, settings: Tree) -> Tree:
    tree, tokens = beit_parts.tree(weights, AT, settings)
    return {
        **tree,
        "mask": {"block": {"target": settings["mask_patches"] or round(75 / 196 * tokens), "aspect": 0.3}},
        "target": {"codes": {"vocab": parts.tensor(weights, OUT).shape[0], "key": settings["labels"]}},
        "head": {"linear": {}},
        "loss": {"cross_entropy": {}},
    }


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    return [*beit_parts.rules(weights, AT), *parts.linear_rules(rf"{AT}lm_head", f"{HEAD}.pred")]


def untrained(weights: Weights) -> dict[str, str]:
    return {}
