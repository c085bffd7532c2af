"""Plain Vision Transformers of transformers 4 and 5 as frozen encoders: ``ViTModel`` (supervised, DINO), ``Dinov2Model`` with or
without registers, and their classifiers."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import FREE, HF_IMAGE, HF_POOLER, TENSORS, Argument
from maskedmod.zoo.layouts.image import trees
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule
from maskedmod.zoo.settings import heads_of

NAME = "hf_vit"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": None,
    "std": None,
    "heads": None,
    "mask_ratio": 0.75,
    "eps": 1e-12,
    "activation": "gelu",
}
CONFIG = parts.HF_IMAGE_CONFIG
REFERENCE = "huggingface/transformers@v5.0 models/vit ViTConfig, models/dinov2_with_registers Dinov2WithRegistersConfig"
ARGUMENTS: dict[str, Argument] = {
    **HF_IMAGE,
    **HF_POOLER,
    **dict.fromkeys(("mlp_ratio", "layerscale_value", "use_swiglu_ffn", "num_register_tokens", "use_mask_token"), TENSORS),
    **dict.fromkeys(("encoder_stride", "drop_path_rate", "apply_layernorm", "reshape_hidden_states"), FREE),
    **dict.fromkeys(("_out_features", "_out_indices"), FREE),
}

AT = r"(?:vit\.|dinov2\.|dinov2_with_registers\.)?"
LAYERS = rf"{AT}(?:encoder\.layer|layers)"
PATCH = rf"{AT}embeddings\.patch_embeddings\.projection\.weight"
TABLE, CLASS = rf"{AT}embeddings\.position_embeddings", rf"{AT}embeddings\.cls_token"
REGISTERS = rf"{AT}embeddings\.register_tokens"
FC1 = rf"{LAYERS}\.0\.(?:mlp\.fc1|mlp\.weights_in|intermediate\.dense)\.weight"
FC2 = rf"{LAYERS}\.0\.(?:mlp\.fc2|mlp\.weights_out|output\.dense)\.weight"


def matches(weights: Weights) -> bool:
    whole = all(parts.has(weights, key) for key in (TABLE, CLASS, PATCH, FC1))
    return whole and not parts.has(weights, r"decoder\..*")


def recipe(weights: Weights, settings: Tree) -> Tree:
    table, width = parts.tensor(weights, TABLE), parts.tensor(weights, PATCH).shape[0]
    modality, grid = parts.image(weights, PATCH, table.shape[1] - 1, settings)
    gated = parts.has(weights, rf"{LAYERS}\.0\.mlp\.weights_in\.weight")
    encoder = {
        "depth": parts.depth(weights, rf"{LAYERS}\.(\d+)\..*"),
        "width": width,
        "heads": settings["heads"] or heads_of(width),
        "mlp_ratio": parts.tensor(weights, FC2).shape[1] / width,
        "activation": "swiglu" if gated else settings["activation"],
        "eps": settings["eps"],
        "sees": "visible",
        "qkv_bias": parts.hf_bias(weights, LAYERS),
        "positions": parts.table_kind(table, grid),
        "layer_scale": 1.0 if parts.has(weights, rf"{LAYERS}\.0\.layer_scale1\.lambda1") else None,
        "registers": parts.tensor(weights, REGISTERS).shape[1] if parts.has(weights, REGISTERS) else 0,
    }
    return trees.mae(modality, encoder, {"eps": settings["eps"]}, settings)


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    kind = recipe(weights, settings)["encoder"]["transformer"]["positions"]
    table, tokens = parts.tensor(weights, TABLE), "encoder.prefix_tokens"
    more = {"norm1": "norm1", "norm2": "norm2", r"mlp\.weights_in": "mlp.fc1", r"mlp\.weights_out": "mlp.fc2"}
    return [
        Rule(CLASS, tokens, lambda x: x + table[:, :1].to(x.dtype), part=0, axis=1, keep=True),
        Rule(REGISTERS, tokens, part=1, axis=1),
        parts.table_rule(TABLE, kind, "encoder.positions.table", 1),
        *parts.patch_rules(rf"{AT}embeddings\.patch_embeddings\.projection"),
        *parts.hf_block_rules(LAYERS, "encoder.blocks"),
        *(Rule(rf"{LAYERS}\.(\d+)\.{old}\.(weight|bias)", rf"encoder.blocks.\1.{new}.\2") for old, new in more.items()),
        *parts.linear_rules(rf"{AT}layernorm", "encoder.norm"),
        Rule(rf"{LAYERS}\.(\d+)\.layer_scale([12])\.lambda1", r"encoder.blocks.\1.scale\2.gamma"),
        Rule(rf"{AT}embeddings\.mask_token", unneeded="the mask token; the encoder is used on whole images or visible patches"),
        Rule(r".*pooler\..*", unneeded="a pooler that pre-training does not use"),
        Rule(r"(?:lm_head|classifier|cls_classifier|distillation_classifier)\..*", unneeded="a classifier"),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return {f"{HEAD}.": parts.NO_DECODER}
