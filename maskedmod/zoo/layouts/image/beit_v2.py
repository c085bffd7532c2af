"""BEiT v2 in pre-training, as microsoft/unilm saves it: BEiT with a second prediction, through the class token."""

from __future__ import annotations

from typing import Any

from maskedmod.errors import UserError
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import TENSORS, Argument, Setting
from maskedmod.zoo.layouts.image import beit, beit_parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import Rule

NAME = "beit_v2"
SETTINGS: dict[str, Any] = {**beit.SETTINGS, "early_layers": 9}
CONFIG: dict[str, str] = {}
REFERENCE = "microsoft/unilm@768a3c8 beit2/modeling_pretrain.py VisionTransformerForMaskedImageModelingCLS"
ARGUMENTS: dict[str, Argument] = {
    **beit.ARGUMENTS,
    "early_layers": Setting("early_layers"),
    "head_layers": TENSORS,
    "shared_lm_head": TENSORS,
}

CLASS = "objectives.class.head"
LAYERS = rf"{beit.AT}cls_pt_layers"


def matches(weights: Weights) -> bool:
    return beit.of_beit(weights) and parts.has(weights, rf"{LAYERS}\..*")


def recipe(weights: Weights, settings: Tree) -> Tree:
    tree = beit.recipe(weights, settings)
    encoder = tree["encoder"]["transformer"]
    depth, early = encoder["depth"], settings["early_layers"]
    if not 1 <= early <= depth:
        raise UserError(f"early_layers={early}, but the encoder has {depth} blocks: give settings={{'early_layers': ...}}")
    own = parts.has(weights, rf"{LAYERS}\.0\.attn\.{beit_parts.TABLE}")
    shared = parts.has(weights, rf"{beit.AT}rel_pos_bias\.{beit_parts.TABLE}")
    head = {
        "block": settings["early_layers"] - 1,
        "depth": parts.depth(weights, rf"{LAYERS}\.(\d+)\..*"),
        **{name: encoder[name] for name in ("heads", "mlp_ratio", "qkv_bias", "layer_scale", "eps")},
        "relative": "block" if own else "shared" if shared else "none",
        "share": None if parts.has(weights, rf"{beit.AT}cls_pt_lm_head\.weight") else "main",
    }
    again = {"target": tree["target"], "head": {"class_aggregation": head}, "loss": tree["loss"]}
    return {**tree, "objectives": {"main": {"region": "masked"}, "class": again}}


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    return [
        *beit.rules(weights, settings),
        *parts.block_rules(LAYERS, f"{CLASS}.blocks"),
        Rule(rf"{LAYERS}\.(\d+)\.attn\.{beit_parts.TABLE}", rf"{CLASS}.relative.\1.table"),
        Rule(rf"{LAYERS}\.\d+\.attn\.relative_position_index", unneeded=parts.INDEX),
        *parts.linear_rules(rf"{beit.AT}cls_pt_norm", f"{CLASS}.norm"),
        *parts.linear_rules(rf"{beit.AT}cls_pt_lm_head", f"{CLASS}.pred"),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return {}
