"""SimMIM with a Vision Transformer, as microsoft/SimMIM saves it (``encoder.*`` and a 1x1 convolution ``decoder.0``)."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule, unshuffle

NAME = "simmim"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": None,
    "std": None,
    "heads": None,
    "mask_ratio": 0.6,
    "mask_patch_size": None,
    "eps": 1e-6,
}
CONFIG: dict[str, str] = {}

PATCH, BLOCKS = r"encoder\.patch_embed\.proj\.weight", r"encoder\.blocks\.(\d+)\..*"
FC1, BIAS = r"encoder\.blocks\.0\.mlp\.fc1\.weight", "encoder.rel_pos_bias.relative_position_bias_table"


def matches(weights: Weights) -> bool:
    return "decoder.0.weight" in weights and "encoder.patch_embed.proj.weight" in weights and BIAS in weights


def recipe(weights: Weights, settings: Tree) -> Tree:
    kernel = parts.tensor(weights, PATCH)
    patch = (kernel.shape[2], kernel.shape[3])
    modality, _ = parts.image(weights, PATCH, parts.relative_tokens(weights[BIAS], patch, settings["image_size"]), settings)
    encoder = parts.transformer(weights, PATCH, BLOCKS, FC1, {**settings, "heads": weights[BIAS].shape[1]})
    unit = (settings["mask_patch_size"] or 2 * patch[0]) // patch[0]
    return {
        "modality": modality,
        "mask": {"random": {"ratio": settings["mask_ratio"], "count": "mask_ceil", "unit": unit}},
        "encoder": {"transformer": {**encoder, **parts.beit_options(weights, r"encoder\.", "encoder.norm.weight" in weights)}},
        "target": {"raw": {"norm": "none"}},
        "head": {"linear": {}},
        "loss": {"regression": {"kind": "l1"}},
    }


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    kernel = parts.tensor(weights, PATCH)
    order = unshuffle(kernel.shape[1], (kernel.shape[2], kernel.shape[3]))
    return [
        *parts.beit_rules(r"encoder\."),
        Rule(r"encoder\.fc_norm\.(?:weight|bias)", unneeded="the norm of the classifier, not used in pre-training"),
        Rule(r"decoder\.0\.weight", f"{HEAD}.pred.weight", order),
        Rule(r"decoder\.0\.bias", f"{HEAD}.pred.bias", order),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return {}
