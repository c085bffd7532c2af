"""I-JEPA as facebookresearch/ijepa saves it: ``encoder``, ``predictor`` and ``target_encoder``."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import FREE, TENSORS, Argument, Setting, only
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
    "npred": 4,
    "pred_mask_scale": [0.15, 0.2],
    "aspect_ratio": [0.75, 1.5],
    "enc_mask_scale": [0.85, 1.0],
    "allow_overlap": False,
    "ratio": None,  # [low, high]: the masks of src/masks/random.py in place of blocks
    "eps": 1e-6,
}
CONFIG: dict[str, str] = {}
REFERENCE = "facebookresearch/ijepa@52c1ae9 src/models/vision_transformer.py, src/masks/multiblock.py and random.py MaskCollator"
ARGUMENTS: dict[str, Argument] = {
    "img_size": Setting("image_size"),
    "num_heads": Setting("heads"),
    "norm_layer": Setting("eps"),
    **{name: Setting(name) for name in (*trees.BLOCKS, "ratio")},
    "nenc": only(1),
    "qk_scale": only(None),
    **dict.fromkeys(("patch_size", "in_chans", "embed_dim", "depth", "mlp_ratio", "qkv_bias"), TENSORS),
    **dict.fromkeys(("num_patches", "predictor_embed_dim", "predictor_depth"), TENSORS),
    **dict.fromkeys(("drop_rate", "attn_drop_rate", "drop_path_rate", "init_std"), FREE),
}

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
        "qkv_bias": _bias(weights, "predictor.predictor_blocks"),
        "eps": settings["eps"],
    }
    encoder.update(qkv_bias=_bias(weights, "encoder.blocks"), sees="visible", positions=parts.table_kind(table, grid), classes=0)
    return trees.i_jepa(modality, encoder, head, settings)


def _bias(weights: Weights, blocks: str) -> str:
    return "all" if f"{blocks}.0.attn.qkv.bias" in weights else "none"


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
