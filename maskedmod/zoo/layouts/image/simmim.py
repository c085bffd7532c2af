"""SimMIM with a Vision Transformer, as microsoft/SimMIM saves it (``encoder.*`` and a 1x1 convolution ``decoder.0``)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import FREE, TENSORS, Argument
from maskedmod.zoo.layouts.image import beit, trees
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
REFERENCE = "microsoft/SimMIM@d3e29bc models/vision_transformer.py VisionTransformer"
ARGUMENTS: dict[str, Argument] = {
    **beit.VIT,
    "num_classes": FREE,
    "use_mean_pooling": TENSORS,
    "init_scale": FREE,
    "encoder_stride": TENSORS,
}
REFUSED = {r"encoder\.layers\.\d+\.blocks\..*": "encoder Swin"}

PATCH, BLOCKS = r"encoder\.patch_embed\.proj\.weight", r"encoder\.blocks\.(\d+)\..*"
FC1, BIAS = r"encoder\.blocks\.0\.mlp\.fc1\.weight", "encoder.rel_pos_bias.relative_position_bias_table"


def matches(weights: Weights) -> bool:
    return "decoder.0.weight" in weights and "encoder.patch_embed.proj.weight" in weights and BIAS in weights


def recipe(weights: Weights, settings: Tree) -> Tree:
    kernel = parts.tensor(weights, PATCH)
    patch = (kernel.shape[2], kernel.shape[3])
    modality, _ = parts.image(weights, PATCH, parts.relative_tokens(weights[BIAS], patch, settings["image_size"]), settings)
    encoder = parts.transformer(weights, PATCH, BLOCKS, FC1, {**settings, "heads": weights[BIAS].shape[1]})
    encoder.update(parts.beit_options(weights, r"encoder\.", "encoder.norm.weight" in weights))
    return trees.simmim(modality, encoder, patch[0], settings)


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    return [
        *parts.beit_rules(r"encoder\."),
        Rule(r"encoder\.fc_norm\.(?:weight|bias)", unneeded="the norm of the classifier, not used in pre-training"),
        *head_rules(parts.tensor(weights, PATCH)),
    ]


def head_rules(kernel: Tensor) -> list[Rule]:
    """The head is a 1x1 convolution with pixel shuffle; ``kernel``: of the patch convolution."""
    order = unshuffle(kernel.shape[1], (kernel.shape[2], kernel.shape[3]))
    return [Rule(rf"decoder\.0\.{end}", f"{HEAD}.pred.{end}", order) for end in ("weight", "bias")]


def untrained(weights: Weights) -> dict[str, str]:
    return {}
