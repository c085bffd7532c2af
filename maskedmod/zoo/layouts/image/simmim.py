"""SimMIM with a Vision Transformer, as microsoft/SimMIM saves it (``encoder.*`` and a 1x1 convolution ``decoder.0``)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import FREE, TENSORS, Argument
from maskedmod.zoo.layouts.image import beit_parts, trees
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
    **beit_parts.VIT,
    "num_classes": FREE,
    "use_mean_pooling": TENSORS,
    "init_scale": FREE,
    "encoder_stride": TENSORS,
}
UNREAD = {r"encoder\.layers\.\d+\.blocks\..*": "encoder Swin"}

AT, PATCH = r"encoder\.", r"encoder\.patch_embed\.proj\.weight"


def matches(weights: Weights) -> bool:
    return {"decoder.0.weight", "encoder.patch_embed.proj.weight", "encoder.blocks.0.attn.qkv.weight"} <= set(weights)


def recipe(weights: Weights, settings: Tree) -> Tree:
    tree, _ = beit_parts.tree(weights, AT, settings)
    return trees.simmim(tree["modality"], tree["encoder"]["transformer"], parts.tensor(weights, PATCH).shape[2], settings)


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    kernel, out = parts.tensor(weights, PATCH), weights["decoder.0.weight"]
    if len(out) != kernel[0].numel():
        made, patch = len(out), kernel[0].numel()
        raise UserError(f"decoder.0.weight makes {made} values of a token, a patch has {patch}: encoder_stride is another side")
    return [
        *beit_parts.rules(weights, AT),
        Rule(r"encoder\.fc_norm\.(?:weight|bias)", unneeded="the norm of the classifier, not used in pre-training"),
        *head_rules(kernel),
    ]


def head_rules(kernel: Tensor) -> list[Rule]:
    """The head is a 1x1 convolution with pixel shuffle; ``kernel``: of the patch convolution."""
    order = unshuffle(kernel.shape[1], (kernel.shape[2], kernel.shape[3]))
    return [Rule(rf"decoder\.0\.{end}", f"{HEAD}.pred.{end}", order) for end in ("weight", "bias")]


def untrained(weights: Weights) -> dict[str, str]:
    return {}
