"""I-JEPA as facebookresearch/ijepa saves it: ``encoder``, ``predictor`` and ``target_encoder``."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.image import trees
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule

NAME = "i_jepa"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": None,
    "std": None,
    "heads": None,
    "predictor_heads": None,
    "min_keep": 10,
    "eps": 1e-6,
}
CONFIG: dict[str, str] = {}

PATCH, BLOCKS = r"encoder\.patch_embed\.proj\.weight", r"encoder\.blocks\.(\d+)\..*"
FC1, PREDICTOR_FC1 = r"encoder\.blocks\.0\.mlp\.fc1\.weight", r"predictor\.predictor_blocks\.0\.mlp\.fc1\.weight"


def matches(weights: Weights) -> bool:
    return "predictor.predictor_embed.weight" in weights


def recipe(weights: Weights, settings: Tree) -> Tree:
    table = parts.tensor(weights, r"encoder\.pos_embed")
    modality, grid = parts.image(weights, PATCH, table.shape[1], settings)
    encoder = parts.transformer(weights, PATCH, BLOCKS, FC1, settings)
    width = weights["predictor.predictor_embed.weight"].shape[0]
    head = {
        "depth": parts.depth(weights, r"predictor\.predictor_blocks\.(\d+)\..*"),
        "width": width,
        "heads": settings["predictor_heads"] or encoder["heads"],
        "mlp_ratio": parts.tensor(weights, PREDICTOR_FC1).shape[0] / width,
        "positions": parts.table_kind(weights["predictor.predictor_pos_embed"], grid),
        "eps": settings["eps"],
    }
    encoder.update(sees="visible", positions=parts.table_kind(table, grid), classes=0)
    return trees.i_jepa(modality, encoder, head, settings)


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    tree = recipe(weights, settings)
    kind, head_kind = tree["encoder"]["transformer"]["positions"], tree["head"]["mae_decoder"]["positions"]
    out = []
    for at, to in (("encoder", "encoder"), ("target_encoder", "teacher.encoder")):
        out += [
            parts.table_rule(rf"{at}\.pos_embed", kind, f"{to}.positions.table", 0),
            *parts.patch_rules(rf"{at}\.patch_embed\.proj", f"{to}.embed"),
            *parts.block_rules(rf"{at}\.blocks", f"{to}.blocks"),
            *parts.linear_rules(rf"{at}\.norm", f"{to}.norm"),
        ]
    return [
        *out,
        parts.mask_token_rule(r"predictor\.mask_token", f"{HEAD}.mask_token"),
        parts.table_rule(r"predictor\.predictor_pos_embed", head_kind, f"{HEAD}.positions.table", 0),
        *parts.block_rules(r"predictor\.predictor_blocks", f"{HEAD}.blocks"),
        *parts.linear_rules(r"predictor\.predictor_embed", f"{HEAD}.embed"),
        *parts.linear_rules(r"predictor\.predictor_norm", f"{HEAD}.norm"),
        *parts.linear_rules(r"predictor\.predictor_proj", f"{HEAD}.pred"),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return {}
