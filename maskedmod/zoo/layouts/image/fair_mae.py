"""MAE as facebookresearch/mae saves it: the whole model, or the encoder alone (``mae_pretrain_*``; timm's keys are these)."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import FREE, TENSORS, Argument, Setting
from maskedmod.zoo.layouts.image import trees
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule
from maskedmod.zoo.settings import heads_of

NAME = "fair_mae"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": None,
    "std": None,
    "heads": None,
    "decoder_heads": None,
    "mask_ratio": 0.75,
    "norm_pix_loss": True,
    "eps": 1e-6,
}
CONFIG: dict[str, str] = {}
REFERENCE = "facebookresearch/mae@efb2a80 models_mae.py MaskedAutoencoderViT"
ARGUMENTS: dict[str, Argument] = {
    "img_size": Setting("image_size"),
    "num_heads": Setting("heads"),
    "decoder_num_heads": Setting("decoder_heads"),
    "norm_layer": Setting("eps"),
    **{name: Setting(name) for name in ("mask_ratio", "norm_pix_loss")},
    **dict.fromkeys(("patch_size", "in_chans", "embed_dim", "depth", "mlp_ratio", "decoder_embed_dim", "decoder_depth"), TENSORS),
    "drop_path": FREE,
}

PATCH, BLOCKS, FC1 = r"patch_embed\.proj\.weight", r"blocks\.(\d+)\..*", r"blocks\.0\.mlp\.fc1\.weight"
FOREIGN = ("reg_token", "norm_pre.", "fc_norm.", "rel_pos_bias.", "head.", "blocks.0.ls1.")
"""Other Vision Transformers have these beside the same keys."""
DECODER_BLOCKS, DECODER_FC1 = r"decoder_blocks\.(\d+)\..*", r"decoder_blocks\.0\.mlp\.fc1\.weight"


def matches(weights: Weights) -> bool:
    encoder = {"cls_token", "pos_embed", "patch_embed.proj.weight", "norm.weight"} <= set(weights)
    if "decoder_embed.weight" not in weights and any(key.startswith(FOREIGN) for key in weights):
        return False
    return encoder and ("decoder_embed.weight" in weights or "mask_token" not in weights)


def recipe(weights: Weights, settings: Tree) -> Tree:
    modality, grid = parts.image(weights, PATCH, weights["pos_embed"].shape[1] - 1, settings)
    return mae_tree(weights, modality, grid, settings)


def mae_tree(weights: Weights, modality: Tree, grid: tuple[int, int], settings: Tree) -> Tree:
    """MAE's composition around a modality; a file without decoder gets the published one (8 blocks of width 512)."""
    encoder = parts.transformer(weights, PATCH, BLOCKS, FC1, settings)
    head: Tree = {}
    if "decoder_embed.weight" in weights:
        width = weights["decoder_embed.weight"].shape[0]
        head = {
            "depth": parts.depth(weights, DECODER_BLOCKS),
            "width": width,
            "heads": settings["decoder_heads"] or heads_of(width, 32, "decoder_heads"),
            "mlp_ratio": parts.tensor(weights, DECODER_FC1).shape[0] / width,
            "positions": parts.table_kind(weights["decoder_pos_embed"], grid),
        }
    positions = parts.table_kind(weights["pos_embed"], grid)
    encoder.update(sees="visible", positions=positions)
    return trees.mae(modality, encoder, {**head, "eps": settings["eps"]}, settings)


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    tree = recipe(weights, settings)
    return mae_rules(weights, tree)


def mae_rules(weights: Weights, tree: Tree) -> list[Rule]:
    """Where the keys of such a file go, given the tree that was made from it."""
    out = [
        parts.class_rule("cls_token", weights["pos_embed"]),
        parts.table_rule("pos_embed", tree["encoder"]["transformer"]["positions"], "encoder.positions.table", 1),
        *parts.patch_rules(r"patch_embed\.proj"),
        *parts.block_rules("blocks", "encoder.blocks"),
        *parts.linear_rules("norm", "encoder.norm"),
    ]
    if "decoder_embed.weight" not in weights:
        return out
    head = tree["head"]["mae_decoder"]
    if head.get("window") is None:
        parts.no_class_row(weights["decoder_pos_embed"], "decoder_pos_embed")
    return [
        *out,
        parts.mask_token_rule("mask_token", f"{HEAD}.mask_token"),
        parts.table_rule("decoder_pos_embed", head["positions"], f"{HEAD}.positions.table", 1),
        *parts.block_rules("decoder_blocks", f"{HEAD}.blocks"),
        *parts.linear_rules("decoder_embed", f"{HEAD}.embed"),
        *parts.linear_rules("decoder_norm", f"{HEAD}.norm"),
        *parts.linear_rules("decoder_pred", f"{HEAD}.pred"),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    if "decoder_embed.weight" in weights:
        return {}
    return {f"{HEAD}.": parts.NO_DECODER}
