"""data2vec for images, as facebookresearch/data2vec_vision saves it: the student, and its EMA teacher where the file has it."""

from __future__ import annotations

import json
from typing import Any

from maskedmod.errors import UserError
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import FREE, Argument, Setting, only
from maskedmod.zoo.layouts.image import beit, beit_parts
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
    "target_instance_norm": False,
    "target_batch_norm": False,
    "post_target_instance_norm": False,
    "post_target_layer_norm": True,
    "l1_beta": 2.0,
    "l2_loss": False,
    "loss_scale": -1,
    "eps": 1e-6,
}
CONFIG: dict[str, str] = {}
REFERENCE = "facebookresearch/data2vec_vision@af9a363 beit/modeling_cyclical.py, engine_for_cyclical.py train_one_epoch"
ARGUMENTS: dict[str, Argument] = {
    **beit_parts.VIT,
    **{name: Setting(name) for name in ("target_layers", "layer_results", "l1_beta", "l2_loss", "loss_scale")},
    **{name: Setting(name) for name in ("target_layer_norm_last", "target_instance_norm", "target_batch_norm")},
    **{name: Setting(name) for name in ("post_target_instance_norm", "post_target_layer_norm")},
    "attn_head_dim": only(None),
    "var_w0": only(None, 0),
    **dict.fromkeys(("vocab_size", "init_std", "mask_dropout_prob", "var_w1", "var_margin0", "var_margin1"), FREE),
}

EMA = r"(?:model_ema|ema)\."


def matches(weights: Weights) -> bool:
    if not beit.matches(weights):
        return False
    out = parts.tensor(weights, beit.OUT).shape
    return out[0] == out[1] or parts.has(weights, rf"{EMA}.*")


def recipe(weights: Weights, settings: Tree) -> Tree:
    tree, tokens = beit_parts.tree(weights, beit.AT, settings)
    depth, layers = tree["encoder"]["transformer"]["depth"], settings["target_layers"]
    if isinstance(layers, str):  # the released command line stores a list as text
        layers = json.loads(layers)
    if settings["layer_results"] not in ("end", "fc"):
        raise UserError(f"layer_results={settings['layer_results']!r}: expected end (outputs of blocks) or fc (MLP branches)")
    feature = {
        "layers": list(range(max(0, depth - 6), depth)) if layers is None else list(layers),
        "of": "block" if settings["layer_results"] == "end" else "mlp",
        "norm": _norms(settings, "target_batch_norm", "target_instance_norm", "target_layer_norm_last"),
        "post_norm": _norms(settings, "post_target_instance_norm", "post_target_layer_norm"),
    }
    loss = {"kind": "mse"} if settings["l2_loss"] else {"kind": "smooth_l1", "beta": settings["l1_beta"]}
    scale = settings["loss_scale"]
    return {
        **tree,
        "mask": {"block": {"target": settings["mask_patches"] or round(120 / 196 * tokens), "aspect": 0.3}},
        "teacher": {"ema": {"momentum": {"start": 0.999, "end": 0.9998}}},
        "target": {"feature": feature},
        "head": {"linear": {}},
        "loss": {"regression": {**loss, "scale": 1.0 if scale == -1 else scale}},
    }


def _norms(settings: Tree, *names: str) -> Any:
    """The norms that are on, in this order: a word where there is one, else a list."""
    found = [next(kind for kind in ("batch", "instance", "layer") if kind in name) for name in names if settings[name]]
    return found[0] if len(found) == 1 else found or "none"


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    student = [*beit_parts.rules(weights, beit.AT), *parts.linear_rules(rf"{beit.AT}lm_head", f"{HEAD}.pred")]
    if not parts.has(weights, rf"{EMA}.*"):
        return copies(student, "encoder.", "teacher.encoder.")
    head = Rule(rf"{EMA}lm_head\.(?:weight|bias)", unneeded="the teacher's own head: targets are outputs of its blocks")
    return [head, *beit_parts.rules(weights, EMA, "teacher.encoder"), *student]


def untrained(weights: Weights) -> dict[str, str]:
    return {}
