"""Point-MAE as Pang-Yatian/Point-MAE saves it after pre-training (``base_model`` with ``MAE_encoder`` and ``MAE_decoder``)."""

from __future__ import annotations

from typing import Any

from maskedmod.errors import UserError
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.layouts.points.parts import CONVOLUTIONS, point_rules, pointnet_rules
from maskedmod.zoo.mapping import HEAD, Rule

NAME = "point_mae"
SETTINGS: dict[str, Any] = {
    "points": 1024,
    "groups": 64,
    "near_origin": 1e-3,
    "centre": "centroid",
    "scale": "sphere",
    "heads": None,
    "decoder_heads": None,
    "mask_ratio": 0.6,
    "mask": "random",
    "chamfer": "l2",
    "drop_path": 0.0,
    "eps": 1e-5,
}
"""``mask`` and ``chamfer``: our names, or the released code's (mask_type rand or block, loss cdl1 or cdl2)."""
RELEASED = {
    "NAME": parts.TOLD, "group_size": parts.TOLD, "num_group": "groups", "loss": "chamfer", "mask_type": "mask",
    "trans_dim": parts.TOLD, "encoder_dims": parts.TOLD, "depth": parts.TOLD, "decoder_depth": parts.TOLD,
    "num_heads": "heads", "decoder_num_heads": "decoder_heads", "drop_path_rate": "drop_path",
}  # fmt: skip
"""Of ``models.Point_MAE`` and ``cfgs/pretrain.yaml`` (7445a68): our setting, or why it is none."""
CONFIG: dict[str, str] = {}

AT = r"(?:base_model\.)?"
ENCODER, DECODER = rf"{AT}MAE_encoder\.", rf"{AT}MAE_decoder\."
EMBED, POSITIONS = rf"{ENCODER}encoder\.second_conv\.3\.weight", rf"{ENCODER}pos_embed\.0\.weight"
OUT = rf"{AT}increase_dim\.0\.weight"


def matches(weights: Weights) -> bool:
    return all(parts.has(weights, key) for key in (EMBED, POSITIONS, OUT))


MASKS = {"rand": "random", "random": "random", "block": "neighborhood", "neighborhood": "neighborhood"}
LOSSES = {"cdl1": "l1", "cdl2": "l2", "l1": "l1", "l2": "l2"}


def _named(settings: Tree, key: str, known: dict[str, str]) -> str:
    """Ours for an option of the released code, or ours as it is."""
    if settings[key] not in known:
        raise UserError(f"{key}={settings[key]}: expected one of {', '.join(known)}")
    return known[settings[key]]


def recipe(weights: Weights, settings: Tree) -> Tree:
    width, values = parts.tensor(weights, EMBED).shape[0], parts.tensor(weights, OUT).shape[0]
    if values % 3:
        raise UserError(f"increase_dim gives {values} numbers, which are no points of 3")
    heads = settings["heads"] or (6 if width == 384 else max(1, width // 64))
    same = {
        "width": width, "eps": settings["eps"], "qkv_bias": "none", "positions": "mlp", "every_block": True,
        "drop_path": settings["drop_path"],
        "mlp_ratio": parts.tensor(weights, rf"{ENCODER}blocks\.blocks\.0\.mlp\.fc1\.weight").shape[0] / width,
    }  # fmt: skip
    encoder = {"depth": parts.depth(weights, rf"{ENCODER}blocks\.blocks\.(\d+)\..*"), "heads": heads, "classes": 0}
    decoder = {"depth": parts.depth(weights, rf"{DECODER}blocks\.(\d+)\..*"), "heads": settings["decoder_heads"] or heads}
    cloud = {name: settings[name] for name in ("points", "groups", "near_origin", "centre", "scale")}
    widths = [parts.tensor(weights, rf"{ENCODER}encoder\.{name}\.weight").shape[0] for name in CONVOLUTIONS]
    return {
        "modality": {"points": {**cloud, "group_size": values // 3, "pointnet": widths[:3]}},
        "mask": {_named(settings, "mask", MASKS): {"ratio": settings["mask_ratio"], "count": "mask_int"}},
        "encoder": {"transformer": {**encoder, **same, "sees": "visible", "mask_at": "embedded"}},
        "target": {"points": {}},
        "head": {"mae_decoder": {**decoder, **same, "embed": False}},
        "loss": {"chamfer": {"kind": _named(settings, "chamfer", LOSSES)}},
    }


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    found = pointnet_rules(rf"{ENCODER}encoder", "encoder.embed")
    for theirs, ours in ((rf"{ENCODER}pos_embed", "encoder"), (rf"{AT}decoder_pos_embed", HEAD)):
        found += parts.linear_rules(rf"{theirs}\.0", f"{ours}.positions.fc1")
        found += parts.linear_rules(rf"{theirs}\.2", f"{ours}.positions.fc2")
    return [
        *found,
        *parts.block_rules(rf"{ENCODER}blocks\.blocks", "encoder.blocks"),
        *parts.linear_rules(rf"{ENCODER}norm", "encoder.norm"),
        *parts.block_rules(rf"{DECODER}blocks", f"{HEAD}.blocks"),
        *parts.linear_rules(rf"{DECODER}norm", f"{HEAD}.norm"),
        parts.mask_token_rule(rf"{AT}mask_token", f"{HEAD}.mask_token"),
        *point_rules(rf"{AT}increase_dim\.0", f"{HEAD}.pred"),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return {}
