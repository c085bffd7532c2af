"""data2vec for images, as facebookresearch/data2vec_vision saves it: the student, and its EMA teacher where the file has it."""

from __future__ import annotations

import json
from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.image import beit
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule, copies

NAME = "data2vec_vision"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": None,
    "std": None,
    "heads": None,
    "mask_patches": None,
    "target_layers": None,
    "layer_results": "end",
    "target_layer_norm_last": True,
    "post_target_layer_norm": True,
    "l1_beta": 2.0,
    "eps": 1e-6,
}
CONFIG: dict[str, str] = {}

EMA = r"(?:model_ema|ema)\."


def matches(weights: Weights) -> bool:
    if not beit.matches(weights):
        return False
    out = parts.tensor(weights, beit.OUT).shape
    return out[0] == out[1] or parts.has(weights, rf"{EMA}.*")


def recipe(weights: Weights, settings: Tree) -> Tree:
    tree, tokens = beit.encoder_tree(weights, settings)
    depth, layers = tree["encoder"]["transformer"]["depth"], settings["target_layers"]
    if isinstance(layers, str):  # the released command line stores a list as text
        layers = json.loads(layers)
    feature = {
        "layers": list(range(max(0, depth - 6), depth)) if layers is None else list(layers),
        "of": "block" if settings["layer_results"] == "end" else "mlp",
        "norm": "layer" if settings["target_layer_norm_last"] else "none",
        "post_norm": "layer" if settings["post_target_layer_norm"] else "none",
    }
    return {
        **tree,
        "mask": {"block": {"target": settings["mask_patches"] or round(120 / 196 * tokens), "aspect": 0.3}},
        "teacher": {"ema": {"momentum": {"start": 0.999, "end": 0.9998}}},
        "target": {"feature": feature},
        "head": {"linear": {}},
        "loss": {"regression": {"kind": "smooth_l1", "beta": settings["l1_beta"]}},
    }


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    student = [*parts.beit_rules(beit.AT), *parts.linear_rules(rf"{beit.AT}lm_head", f"{HEAD}.pred")]
    if not parts.has(weights, rf"{EMA}.*"):
        return copies(student, "encoder.", "teacher.encoder.")
    head = Rule(rf"{EMA}lm_head\.(?:weight|bias)", unneeded="the teacher's own head: targets are outputs of its blocks")
    return [head, *parts.beit_rules(EMA, "teacher.encoder"), *student]


def untrained(weights: Weights) -> dict[str, str]:
    return {}
