"""BEiT and data2vec-vision of transformers, versions 4 and 5, with any of their position tables: with the head of
``BeitForMaskedImageModeling``, with a classifier, or the encoder alone."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import FREE, HF_IMAGE, TENSORS, Argument
from maskedmod.zoo.layouts.image import beit_parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule

NAME = "hf_beit"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": None,
    "std": None,
    "heads": None,
    "mask_patches": None,
    "labels": "labels",
    "eps": 1e-12,
    "activation": "gelu",
}
CONFIG = {
    "image_size": "image_size",
    "mean": "image_mean",
    "std": "image_std",
    "eps": "layer_norm_eps",
    "activation": "hidden_act",
    "heads": "num_attention_heads",
}
REFERENCE = "huggingface/transformers@v5.0 models/beit BeitConfig, models/data2vec Data2VecVisionConfig"
TABLES = ("use_absolute_position_embeddings", "use_relative_position_bias", "use_shared_relative_position_bias")
SEGMENTING = (
    "pool_scales",
    "use_auxiliary_head",
    "semantic_loss_ignore_index",
    "add_fpn",
    "reshape_hidden_states",
    "out_indices",
)
AUXILIARY = ("auxiliary_loss_weight", "auxiliary_channels", "auxiliary_num_convs", "auxiliary_concat_input")
ARGUMENTS: dict[str, Argument] = {
    **HF_IMAGE,
    **dict.fromkeys(("vocab_size", "use_mask_token", "layer_scale_init_value", "use_mean_pooling", *TABLES), TENSORS),
    **dict.fromkeys(("drop_path_rate", "out_indices", "_out_features", "_out_indices", *SEGMENTING, *AUXILIARY), FREE),
}

AT = r"(?:beit\.|data2vec_vision\.)?"
LAYERS = rf"{AT}(?:encoder\.layer|layers)"
PATCH = rf"{AT}embeddings\.patch_embeddings\.projection\.weight"
FC1 = rf"{LAYERS}\.0\.(?:mlp\.fc1|intermediate\.dense)\.weight"
SHARED = rf"{AT}(?:encoder\.relative_position_bias|shared_position_bias)\.relative_position"
OWN = rf"{LAYERS}\.(\d+)\.(?:attention\.attention\.)?relative_position_bias\.relative_position"
PLACES = rf"{AT}embeddings\.position_embeddings"
BIAS = rf"{LAYERS}\.0\.attention\.(?:{{}}_proj|attention\.{{}})\.bias"


def matches(weights: Weights) -> bool:
    """Queries have a bias and keys have none: so it is with BEiT's relatives alone."""
    query, key = (parts.has(weights, BIAS.format(name[0], name)) for name in ("query", "key"))
    return query and not key and parts.has(weights, PATCH)


def recipe(weights: Weights, settings: Tree) -> Tree:
    kernel, places = parts.tensor(weights, PATCH), parts.found(weights, PLACES)
    shared, own = parts.found(weights, rf"{SHARED}_bias_table"), parts.found(weights, rf"{OWN}_bias_table")
    table = shared if own is None else own
    if places is not None:
        tokens = places.shape[1] - 1
    elif table is not None:
        tokens = parts.relative_tokens(table, (kernel.shape[2], kernel.shape[3]), settings["image_size"])
    else:
        tokens = parts.image_tokens(kernel, settings["image_size"])
    modality, _ = parts.image(weights, PATCH, tokens, settings)
    heads = settings["heads"] if table is None else table.shape[1]
    encoder = parts.transformer(weights, PATCH, rf"{LAYERS}\.(\d+)\..*", FC1, {**settings, "heads": heads})
    encoder.update(
        beit_parts.places(places is not None, shared is not None, own is not None),
        sees="mask_token",
        qkv_bias="qv",
        layer_scale=0.1 if parts.has(weights, rf"{LAYERS}\.0\.lambda_1") else None,
        final_norm="layernorm.weight" in weights or parts.has(weights, rf"{AT}layernorm\.weight"),
        activation=settings["activation"],
    )
    target: Tree = {"raw": {"norm": "none"}}
    loss: Tree = {"regression": {"kind": "l1"}}
    if "lm_head.weight" in weights:
        target = {"codes": {"vocab": weights["lm_head.weight"].shape[0], "key": settings["labels"]}}
        loss = {"cross_entropy": {}}
    return {
        "modality": modality,
        "mask": {"block": {"target": settings["mask_patches"] or round(75 / 196 * tokens), "aspect": 0.3}},
        "encoder": {"transformer": encoder},
        "target": target,
        "head": {"linear": {}},
        "loss": loss,
    }


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    places = parts.found(weights, PLACES)
    return [
        parts.class_rule(rf"{AT}embeddings\.cls_token", places),
        parts.mask_token_rule(rf"{AT}embeddings\.mask_token"),
        parts.table_rule(PLACES, "learned", "encoder.positions.table", 1),
        *parts.patch_rules(rf"{AT}embeddings\.patch_embeddings\.projection"),
        *parts.hf_block_rules(LAYERS, "encoder.blocks", separate_bias=True),
        Rule(rf"{SHARED}_bias_table", "encoder.positions.table" if places is None else "encoder.relative.0.table"),
        Rule(rf"{OWN}_bias_table", r"encoder.relative.\1.table"),
        Rule(rf"(?:{SHARED}|{OWN})_index", unneeded=parts.INDEX),
        Rule(rf"{AT}pooler\.layernorm\.(?:weight|bias)", unneeded="the norm of the pooled output for classifiers"),
        Rule(r"(?:classifier|decode_head|auxiliary_head|fpn\d)\..*", unneeded="heads of classification and segmentation"),
        *parts.linear_rules(rf"{AT}layernorm", "encoder.norm"),
        *parts.linear_rules("lm_head", f"{HEAD}.pred"),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    out = {}
    if "lm_head.weight" not in weights:
        out[f"{HEAD}."] = "the file holds the encoder alone; a linear head on raw patches stands in"
    if not parts.has(weights, rf"{AT}embeddings\.mask_token"):
        out["encoder.mask_token"] = "the file was saved without mask token"
    return out
