"""BEiT in pre-training, as microsoft/unilm saves it: token labels are predicted by ``lm_head``."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import FREE, TENSORS, Argument, Setting, only
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
VIT: dict[str, Argument] = {
    "img_size": Setting("image_size"),
    "num_heads": Setting("heads"),
    "norm_layer": Setting("eps"),
    "qk_scale": only(None),
    **dict.fromkeys(("patch_size", "in_chans", "embed_dim", "depth", "mlp_ratio", "qkv_bias", "init_values"), TENSORS),
    **dict.fromkeys(("use_abs_pos_emb", "use_rel_pos_bias", "use_shared_rel_pos_bias"), TENSORS),
    **dict.fromkeys(("drop_rate", "attn_drop_rate", "drop_path_rate"), FREE),
}
"""Arguments of the constructors of all of BEiT's relatives."""
REFERENCE = "microsoft/unilm@768a3c8 beit/modeling_pretrain.py VisionTransformerForMaskedImageModeling"
ARGUMENTS: dict[str, Argument] = {**VIT, "vocab_size": TENSORS, "attn_head_dim": only(None), "init_std": FREE}

AT = r"(?:model\.)?"
PATCH, BLOCKS, FC1 = rf"{AT}patch_embed\.proj\.weight", rf"{AT}blocks\.(\d+)\..*", rf"{AT}blocks\.0\.mlp\.fc1\.weight"
BIAS, OUT = rf"{AT}rel_pos_bias\.relative_position_bias_table", rf"{AT}lm_head\.weight"


def matches(weights: Weights) -> bool:
    return parts.has(weights, OUT) and parts.has(weights, BIAS)


def recipe(weights: Weights, settings: Tree) -> Tree:
    tree, tokens = encoder_tree(weights, settings)
    return {
        **tree,
        "mask": {"block": {"target": settings["mask_patches"] or round(75 / 196 * tokens), "aspect": 0.3}},
        "target": {"codes": {"vocab": parts.tensor(weights, OUT).shape[0], "key": settings["labels"]}},
        "head": {"linear": {}},
        "loss": {"cross_entropy": {}},
    }


def encoder_tree(weights: Weights, settings: Tree) -> tuple[Tree, int]:
    """Modality and encoder slots, and the number of patches."""
    kernel, table = parts.tensor(weights, PATCH), parts.tensor(weights, BIAS)
    tokens = parts.relative_tokens(table, (kernel.shape[2], kernel.shape[3]), settings["image_size"])
    modality, _ = parts.image(weights, PATCH, tokens, settings)
    encoder = parts.transformer(weights, PATCH, BLOCKS, FC1, {**settings, "heads": table.shape[1]})
    encoder.update(parts.beit_options(weights, AT, final_norm=parts.has(weights, rf"{AT}norm\.weight")))
    return {"modality": modality, "encoder": {"transformer": encoder}}, tokens


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    return [*parts.beit_rules(AT), *parts.linear_rules(rf"{AT}lm_head", f"{HEAD}.pred")]


def untrained(weights: Weights) -> dict[str, str]:
    return {}
