"""VQ-KD, the tokenizer of BEiT v2, as microsoft/unilm saves it: its encoder and codebook."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule
from maskedmod.zoo.settings import heads_of

NAME = "vq_kd"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "heads": None,
    "eps": 1e-6,
}
CONFIG: dict[str, str] = {}

PATCH, BLOCKS = r"encoder\.patch_embed\.proj\.weight", r"encoder\.blocks\.(\d+)\..*"
BOOK = "quantize.embedding.weight"


def matches(weights: Weights) -> bool:
    return {BOOK, "encode_task_layer.0.weight", "encoder.patch_embed.proj.weight"} <= set(weights)


def recipe(weights: Weights, settings: Tree) -> Tree:
    width = parts.tensor(weights, PATCH).shape[0]
    modality, _ = parts.image(weights, PATCH, parts.tensor(weights, r"encoder\.pos_embed").shape[1] - 1, settings)
    encoder = {
        "depth": parts.depth(weights, BLOCKS),
        "width": width,
        "heads": settings["heads"] or heads_of(width),
        "codes": weights[BOOK].shape[0],
        "code_width": weights[BOOK].shape[1],
        "eps": settings["eps"],
    }
    return {
        "modality": modality,
        "mask": {"nothing": {}},
        "encoder": {"vq_transformer": encoder},
        "target": {"raw": {"norm": "none"}},
        "head": {"linear": {}},
        "loss": {"regression": {"kind": "mse"}},
        "objectives": {"main": {"region": "all"}},
    }


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    vit = "encoder.vit"
    return [
        parts.class_rule(r"encoder\.cls_token", parts.tensor(weights, r"encoder\.pos_embed"), vit),
        parts.table_rule(r"encoder\.pos_embed", "learned", f"{vit}.positions.table", 1),
        *parts.patch_rules(r"encoder\.patch_embed\.proj", f"{vit}.embed"),
        *parts.block_rules(r"encoder\.blocks", f"{vit}.blocks"),
        *parts.linear_rules(r"encoder\.fc_norm", f"{vit}.norm"),
        Rule(r"encode_task_layer\.([02])\.(weight|bias)", r"encoder.project.\1.\2"),
        Rule(r"quantize\.embedding\.weight", "encoder.book.vectors"),
        Rule(r"quantize\.embedding\.initted", "encoder.book.started", lambda x: x.reshape(()).bool()),
        Rule(r"quantize\.(?:embedding\.)?(?:cluster_size|embed_avg)", unneeded="statistics of the codebook's training"),
        Rule(
            r"(?:decoder|decode_task_layer|teacher_model|scaling_layer|loss)\..*",
            unneeded="what reconstructs the teacher's features",
        ),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return {f"{HEAD}.": "codes need no head; a linear one on pixels stands in"}
