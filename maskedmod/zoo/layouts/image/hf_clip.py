"""The image tower of ``CLIPModel`` and ``CLIPVisionModel`` of transformers, as a frozen encoder."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import FREE, TENSORS, Argument, Setting
from maskedmod.zoo.layouts.image import trees
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule
from maskedmod.zoo.settings import heads_of

NAME = "hf_clip"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "heads": None,
    "mask_ratio": 0.75,
    "eps": 1e-5,
    "activation": "quick_gelu",
    "post_norm": False,
    "vision_config": {},
}
CONFIG = {
    "mean": "image_mean",
    "std": "image_std",
    "heads": "num_attention_heads",
    "eps": "layer_norm_eps",
    "activation": "hidden_act",
    "vision_config": "vision_config",
}
REFERENCE = "huggingface/transformers@v5.0 models/clip CLIPVisionConfig"
NESTED = ("vision_config",)
ARGUMENTS: dict[str, Argument] = {
    "num_attention_heads": Setting("heads"),
    "hidden_act": Setting("activation"),
    "layer_norm_eps": Setting("eps"),
    "image_size": Setting("image_size"),
    **dict.fromkeys(("hidden_size", "intermediate_size", "num_hidden_layers", "num_channels", "patch_size"), TENSORS),
    **dict.fromkeys(("projection_dim", "attention_dropout", "initializer_range", "initializer_factor"), FREE),
}

AT = r"(?:vision_model\.)?"
LAYERS = rf"{AT}encoder\.layers"
PATCH, CLASS = rf"{AT}embeddings\.patch_embedding\.weight", rf"{AT}embeddings\.class_embedding"
TABLE = rf"{AT}embeddings\.position_embedding\.weight"
BLOCK = {
    r"self_attn\.out_proj": "attn.proj",
    "layer_norm1": "norm1",
    "layer_norm2": "norm2",
    r"mlp\.fc1": "mlp.fc1",
    r"mlp\.fc2": "mlp.fc2",
}


def matches(weights: Weights) -> bool:
    return parts.has(weights, CLASS) and parts.has(weights, rf"{AT}pre_layrnorm\.weight")


def recipe(weights: Weights, settings: Tree) -> Tree:
    inner = settings["vision_config"] or {}
    values = {**settings, "heads": inner.get("num_attention_heads", settings["heads"])}
    values["eps"] = inner.get("layer_norm_eps", settings["eps"])
    activation = inner.get("hidden_act", settings["activation"])
    table, width = parts.tensor(weights, TABLE), parts.tensor(weights, PATCH).shape[0]
    modality, _ = parts.image(weights, PATCH, len(table) - 1, values)
    encoder = {
        "depth": parts.depth(weights, rf"{LAYERS}\.(\d+)\..*"),
        "width": width,
        "heads": values["heads"] or heads_of(width),
        "mlp_ratio": parts.tensor(weights, rf"{LAYERS}\.0\.mlp\.fc1\.weight").shape[0] / width,
        "activation": activation,
        "eps": values["eps"],
        "sees": "visible",
        "positions": "learned",
        "embed_norm": True,
        "final_norm": bool(settings["post_norm"]),
    }
    return trees.mae(modality, encoder, {}, settings)


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    inner: Tree = settings["vision_config"] or {}
    eps = float(inner["layer_norm_eps"] if "layer_norm_eps" in inner else settings["eps"])
    why = "with its position, after the norm that stands before the blocks"
    out = [
        Rule(CLASS, "encoder.prefix_tokens", _class_token(weights, eps), altered=why),
        Rule(TABLE, "encoder.positions.table", lambda x: x[1:], keep=True),
        parts.bare_patch_rule(PATCH),
        *parts.linear_rules(rf"{AT}pre_layrnorm", "encoder.embed_norm"),
        *(Rule(rf"{LAYERS}\.(\d+)\.{old}\.(weight|bias)", rf"encoder.blocks.\1.{new}.\2") for old, new in BLOCK.items()),
    ]
    for part, name in enumerate(("q_proj", "k_proj", "v_proj")):
        for end in ("weight", "bias"):
            to = rf"encoder.blocks.\1.attn.qkv.{end}"
            out.append(Rule(rf"{LAYERS}\.(\d+)\.self_attn\.{name}\.{end}", to, part=part))
    if settings["post_norm"]:
        out += parts.linear_rules(rf"{AT}post_layernorm", "encoder.norm")
    return [
        *out,
        Rule(rf"{AT}post_layernorm\..*", unneeded="the norm of the class token alone"),
        Rule(rf"{AT}embeddings\.position_ids", unneeded="a constant index"),
        Rule(r"(?:text_model|visual_projection|text_projection|logit_scale)\b.*", unneeded="text and the space shared with it"),
    ]


def _class_token(weights: Weights, eps: float) -> Any:
    table, scale = parts.tensor(weights, TABLE), parts.tensor(weights, rf"{AT}pre_layrnorm\.weight")
    shift = parts.tensor(weights, rf"{AT}pre_layrnorm\.bias")

    def change(x: Tensor) -> Tensor:
        return F.layer_norm(x + table[0], x.shape, scale, shift, eps).reshape(1, 1, -1)

    return change


def untrained(weights: Weights) -> dict[str, str]:
    return {f"{HEAD}.": parts.NO_DECODER}
