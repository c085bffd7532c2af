"""Vision Transformers of timm as frozen encoders: with classifier, layer scale, registers, CLIP's norm before the blocks."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import FREE, TENSORS, Argument, Setting, only
from maskedmod.zoo.layouts.image import trees
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule

NAME = "timm_vit"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": None,
    "std": None,
    "heads": None,
    "mask_ratio": 0.75,
    "eps": None,
    "activation": None,
    "architecture": "",
    "pretrained_cfg": {},
    "model_args": {},
}
CONFIG = {"architecture": "architecture", "pretrained_cfg": "pretrained_cfg", "model_args": "model_args"}
ACTIVATIONS = ("gelu", "gelu_tanh", "quick_gelu", "relu")
REFERENCE = "huggingface/pytorch-image-models@v1.0 timm/models/vision_transformer.py VisionTransformer"
NESTED = ("model_args",)
ARGUMENTS: dict[str, Argument] = {
    "img_size": Setting("image_size"),
    "num_heads": Setting("heads"),
    "act_layer": only(None, *ACTIVATIONS),
    "norm_layer": only(None, "layernorm"),
    "embed_norm_layer": only(None),
    "dynamic_img_pad": only(False),
    **dict.fromkeys(("embed_layer", "block_fn", "mlp_layer", "attn_layer"), only(None)),
    **dict.fromkeys(("patch_size", "in_chans", "embed_dim", "depth", "mlp_ratio", "qkv_bias", "qk_norm", "proj_bias"), TENSORS),
    **dict.fromkeys(("scale_attn_norm", "scale_mlp_norm", "init_values", "class_token", "pos_embed", "no_embed_class"), TENSORS),
    **dict.fromkeys(("reg_tokens", "pre_norm", "final_norm", "fc_norm"), TENSORS),
    **dict.fromkeys(("num_classes", "global_pool", "pool_include_prefix", "dynamic_img_size", "weight_init", "fix_init"), FREE),
    **dict.fromkeys(("drop_rate", "pos_drop_rate", "patch_drop_rate", "proj_drop_rate", "attn_drop_rate"), FREE),
    **dict.fromkeys(("drop_path_rate", "device", "dtype"), FREE),
}

PATCH, BLOCKS, FC1 = r"patch_embed\.proj\.weight", r"blocks\.(\d+)\..*", r"blocks\.0\.mlp\.fc1\.weight"
FC2 = r"blocks\.0\.mlp\.fc2\.weight"


def matches(weights: Weights) -> bool:
    whole = {"cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"} <= set(weights)
    return whole and "decoder_embed.weight" not in weights


def recipe(weights: Weights, settings: Tree) -> Tree:
    registers = weights["reg_token"].shape[1] if "reg_token" in weights else 0
    tokens = weights["pos_embed"].shape[1] - _places(weights)
    about = settings["pretrained_cfg"] or {}
    values = {**settings, "eps": _eps(weights, settings)}
    values |= {name: list(about[name]) for name in ("mean", "std") if settings[name] is None and name in about}
    values["heads"] = settings["heads"] or (settings["model_args"] or {}).get("num_heads")
    modality, grid = parts.image(weights, PATCH, tokens, values)
    encoder = parts.transformer(weights, PATCH, BLOCKS, FC2, values)
    gated = parts.tensor(weights, FC1).shape[0] == 2 * parts.tensor(weights, FC2).shape[1]
    given = (settings["model_args"] or {}).get("act_layer")
    quick = "quickgelu" in str(settings["architecture"])
    encoder |= {
        "mlp_ratio": parts.tensor(weights, FC2).shape[1] / encoder["width"],
        "activation": settings["activation"] or ("swiglu" if gated else given or ("quick_gelu" if quick else "gelu")),
        "qk_norm": "blocks.0.attn.q_norm.weight" in weights,
        "sees": "visible",
        "positions": parts.table_kind(weights["pos_embed"], grid),
        "qkv_bias": "all" if "blocks.0.attn.qkv.bias" in weights else "none",
        "layer_scale": 1.0 if "blocks.0.ls1.gamma" in weights else None,
        "registers": registers,
        "embed_norm": "norm_pre.weight" in weights,
        "final_norm": "norm.weight" in weights,
    }
    return trees.mae(modality, encoder, {}, settings)


def _places(weights: Weights) -> int:
    """Rows of the table that are not of patches: none, the class token's, or registers' too."""
    registers = weights["reg_token"].shape[1] if "reg_token" in weights else 0
    rows = weights["pos_embed"].shape[1]
    for prefix in (1, 0, 1 + registers):
        if round((rows - prefix) ** 0.5) ** 2 == rows - prefix:
            return prefix
    return 1


def _eps(weights: Weights, settings: Tree) -> float:
    """CLIP's norms have 1e-5."""
    return float(settings["eps"]) if settings["eps"] is not None else 1e-5 if "norm_pre.weight" in weights else 1e-6


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    kind = recipe(weights, settings)["encoder"]["transformer"]["positions"]
    prefix, tokens = _places(weights), "encoder.prefix_tokens"
    table, norm = weights["pos_embed"], None
    if "norm_pre.weight" in weights:
        norm = (weights["norm_pre.weight"], weights["norm_pre.bias"], _eps(weights, settings))
    if prefix > 1:
        raise UserError("position rows of registers: this model has no place for them")

    def placed(x: Tensor) -> Tensor:
        x = x + table[:, :1].to(x.dtype) if prefix else x
        return x if norm is None else F.layer_norm(x, x.shape[-1:], *norm)

    bare = "patch_embed.proj.bias" not in weights
    return [
        Rule("cls_token", tokens, placed, part=0, axis=1, keep=True),
        Rule("reg_token", tokens, None if norm is None else lambda x: F.layer_norm(x, x.shape[-1:], *norm), part=1, axis=1),
        parts.table_rule("pos_embed", kind, "encoder.positions.table", prefix),
        *([parts.bare_patch_rule(PATCH)] if bare else parts.patch_rules(r"patch_embed\.proj")),
        *parts.block_rules("blocks", "encoder.blocks"),
        Rule(r"blocks\.(\d+)\.attn\.([qk]_norm)\.(weight|bias)", r"encoder.blocks.\1.attn.\2.\3"),
        Rule(r"blocks\.(\d+)\.ls([12])\.gamma", r"encoder.blocks.\1.scale\2.gamma"),
        *parts.linear_rules("norm_pre", "encoder.embed_norm"),
        *parts.linear_rules("norm", "encoder.norm"),
        Rule(r"(?:head|head_dist|fc_norm|pre_logits)\..*", unneeded="a classifier"),
        Rule("mask_token", unneeded="the mask token; the encoder is used on whole images or visible patches"),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return {f"{HEAD}.": parts.NO_DECODER}
