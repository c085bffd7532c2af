"""``ViTForMaskedImageModeling`` of transformers, versions 4 and 5: SimMIM on a plain Vision Transformer."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import HF_IMAGE, HF_POOLER, TENSORS, Argument
from maskedmod.zoo.layouts.image import trees
from maskedmod.zoo.layouts.image.hf_vit_mae import FC1, LAYERS, PATCH, TABLE
from maskedmod.zoo.layouts.image.simmim import head_rules
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import Rule

NAME = "hf_vit_mim"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": None,
    "std": None,
    "heads": None,
    "mask_ratio": 0.6,
    "mask_patch_size": None,
    "eps": 1e-12,
    "activation": "gelu",
}
CONFIG = parts.HF_IMAGE_CONFIG
REFERENCE = "huggingface/transformers@v5.0 models/vit ViTConfig"
ARGUMENTS: dict[str, Argument] = {**HF_IMAGE, **HF_POOLER, "encoder_stride": TENSORS}


def matches(weights: Weights) -> bool:
    return "decoder.0.weight" in weights and parts.has(weights, TABLE)


def recipe(weights: Weights, settings: Tree) -> Tree:
    table, kernel = parts.tensor(weights, TABLE), parts.tensor(weights, PATCH)
    modality, _ = parts.image(weights, PATCH, table.shape[1] - 1, settings)
    encoder = parts.transformer(weights, PATCH, rf"{LAYERS}\.(\d+)\..*", rf"{LAYERS}\.0\.{FC1}", settings)
    encoder.update(sees="mask_token", positions="learned", activation=settings["activation"])
    encoder["qkv_bias"] = parts.hf_bias(weights, LAYERS)
    return trees.simmim(modality, encoder, kernel.shape[2], settings)


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    vit = r"(?:vit\.)?"
    return [
        parts.class_rule(rf"{vit}embeddings\.cls_token", parts.tensor(weights, TABLE)),
        parts.mask_token_rule(rf"{vit}embeddings\.mask_token"),
        parts.table_rule(TABLE, "learned", "encoder.positions.table", 1),
        *parts.patch_rules(rf"{vit}embeddings\.patch_embeddings\.projection"),
        *parts.hf_block_rules(LAYERS, "encoder.blocks"),
        *parts.linear_rules(rf"{vit}layernorm", "encoder.norm"),
        *head_rules(parts.tensor(weights, PATCH)),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return {}
