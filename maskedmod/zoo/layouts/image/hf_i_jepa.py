"""``IJepaModel`` of transformers, versions 4 and 5: the encoder of I-JEPA alone."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import HF_IMAGE, HF_POOLER, Argument
from maskedmod.zoo.layouts.image import trees
from maskedmod.zoo.layouts.image.hf_vit_mae import FC1
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule, copies

NAME = "hf_i_jepa"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": None,
    "std": None,
    "heads": None,
    "min_keep": 10,
    "eps": 1e-6,
    "activation": "gelu",
}
CONFIG = parts.HF_IMAGE_CONFIG
REFERENCE = "huggingface/transformers@v5.0 models/ijepa IJepaConfig"
ARGUMENTS: dict[str, Argument] = {**HF_IMAGE, **HF_POOLER}

AT = r"(?:ijepa\.)?"
LAYERS = rf"{AT}(?:encoder\.layer|layers)"
PATCH = rf"{AT}embeddings\.patch_embeddings\.projection\.weight"
TABLE = rf"{AT}embeddings\.position_embeddings"


def matches(weights: Weights) -> bool:
    return parts.has(weights, TABLE) and parts.has(weights, PATCH) and not parts.has(weights, r".*(?:cls_token|classifier).*")


def recipe(weights: Weights, settings: Tree) -> Tree:
    table = parts.tensor(weights, TABLE)
    modality, grid = parts.image(weights, PATCH, table.shape[1], settings)
    encoder = parts.transformer(weights, PATCH, rf"{LAYERS}\.(\d+)\..*", rf"{LAYERS}\.0\.{FC1}", settings)
    encoder.update(sees="visible", positions=parts.table_kind(table, grid), classes=0, activation=settings["activation"])
    encoder["qkv_bias"] = parts.hf_bias(weights, LAYERS)
    head = {"depth": 12, "width": 384, "heads": 16, "eps": settings["eps"]}
    return trees.i_jepa(modality, encoder, head, settings)


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    kind = recipe(weights, settings)["encoder"]["transformer"]["positions"]
    encoder = [
        parts.table_rule(TABLE, kind, "encoder.positions.table", 0),
        *parts.patch_rules(rf"{AT}embeddings\.patch_embeddings\.projection"),
        *parts.hf_block_rules(LAYERS, "encoder.blocks"),
        *parts.linear_rules(rf"{AT}layernorm", "encoder.norm"),
        Rule(rf"{AT}pooler\..*", unneeded="a pooler that pre-training does not use"),
    ]
    return copies(encoder, "encoder.", "teacher.encoder.")


def untrained(weights: Weights) -> dict[str, str]:
    return {f"{HEAD}.": "the file holds the encoder alone, the predictor is not trained"}
