"""ViTMAE as transformers saves it, versions 4 and 5, with decoder (``ViTMAEForPreTraining``) or without (``ViTMAEModel``)."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import HF_IMAGE, TENSORS, Argument, Setting
from maskedmod.zoo.layouts.image import hf_beit, trees
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule
from maskedmod.zoo.settings import heads_of

NAME = "hf_vit_mae"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": None,
    "std": None,
    "heads": None,
    "decoder_heads": None,
    "mask_ratio": 0.75,
    "norm_pix_loss": True,
    "eps": 1e-12,
    "activation": "gelu",
}
CONFIG = {
    **parts.HF_IMAGE_CONFIG,
    "decoder_heads": "decoder_num_attention_heads",
    "mask_ratio": "mask_ratio",
    "norm_pix_loss": "norm_pix_loss",
}
REFERENCE = "huggingface/transformers@v5.0 models/vit_mae ViTMAEConfig"
ARGUMENTS: dict[str, Argument] = {
    **HF_IMAGE,
    "decoder_num_attention_heads": Setting("decoder_heads"),
    **{name: Setting(name) for name in ("mask_ratio", "norm_pix_loss")},
    **dict.fromkeys(("decoder_hidden_size", "decoder_num_hidden_layers", "decoder_intermediate_size"), TENSORS),
}

LAYERS = r"(?:vit\.)?(?:encoder\.layer|layers)"
DECODER_LAYERS = r"decoder\.decoder_(?:layers|encoder\.layer)"
"""The second form is what ``save_pretrained`` of version 5 writes, renaming every ``layers``."""
PATCH = r"(?:vit\.)?embeddings\.patch_embeddings\.projection\.weight"
FC1 = r"(?:mlp\.fc1|intermediate\.dense)\.weight"
TABLE, DECODER_TABLE = r"(?:vit\.)?embeddings\.position_embeddings", r"decoder\.decoder_pos_embed"


def matches(weights: Weights) -> bool:
    if "decoder.decoder_embed.weight" in weights:
        return True
    if hf_beit.matches(weights):
        return False
    ends = (TABLE, r"(?:vit\.)?embeddings\.cls_token", r"(?:vit\.)?layernorm\.weight")
    encoder = all(parts.has(weights, key) for key in ends) and not parts.has(weights, r".*\.norm1\.weight")
    return encoder and not parts.has(weights, r".*(?:mask_token|decoder|classifier|pooler|lm_head).*")


def recipe(weights: Weights, settings: Tree) -> Tree:
    table = parts.tensor(weights, TABLE)
    modality, grid = parts.image(weights, PATCH, table.shape[1] - 1, settings)
    encoder = parts.transformer(weights, PATCH, rf"{LAYERS}\.(\d+)\..*", rf"{LAYERS}\.0\.{FC1}", settings)
    encoder.update(sees="visible", positions=parts.table_kind(table, grid), activation=settings["activation"])
    encoder["qkv_bias"] = parts.hf_bias(weights, LAYERS)
    head: Tree = {"eps": settings["eps"]}
    if "decoder.decoder_embed.weight" in weights:
        width = weights["decoder.decoder_embed.weight"].shape[0]
        head = {
            "depth": parts.depth(weights, rf"{DECODER_LAYERS}\.(\d+)\..*"),
            "width": width,
            "heads": settings["decoder_heads"] or heads_of(width, 32, "decoder_heads"),
            "mlp_ratio": parts.tensor(weights, rf"{DECODER_LAYERS}\.0\.{FC1}").shape[0] / width,
            "positions": parts.table_kind(parts.tensor(weights, DECODER_TABLE), grid),
            "qkv_bias": parts.hf_bias(weights, DECODER_LAYERS),
            "eps": settings["eps"],
        }
    return trees.mae(modality, encoder, head, settings)


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    tree, vit = recipe(weights, settings), r"(?:vit\.)?"
    out = [
        parts.class_rule(rf"{vit}embeddings\.cls_token", parts.tensor(weights, TABLE)),
        parts.table_rule(TABLE, tree["encoder"]["transformer"]["positions"], "encoder.positions.table", 1),
        *parts.patch_rules(rf"{vit}embeddings\.patch_embeddings\.projection"),
        *parts.hf_block_rules(LAYERS, "encoder.blocks"),
        *parts.linear_rules(rf"{vit}layernorm", "encoder.norm"),
    ]
    if "decoder.decoder_embed.weight" not in weights:
        return out
    parts.no_class_row(parts.tensor(weights, DECODER_TABLE), "decoder.decoder_pos_embed")
    return [
        *out,
        parts.mask_token_rule(r"decoder\.mask_token", f"{HEAD}.mask_token"),
        parts.table_rule(DECODER_TABLE, tree["head"]["mae_decoder"]["positions"], f"{HEAD}.positions.table", 1),
        *parts.hf_block_rules(DECODER_LAYERS, f"{HEAD}.blocks"),
        *parts.linear_rules(r"decoder\.decoder_embed", f"{HEAD}.embed"),
        *parts.linear_rules(r"decoder\.decoder_norm", f"{HEAD}.norm"),
        *parts.linear_rules(r"decoder\.decoder_pred", f"{HEAD}.pred"),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    if "decoder.decoder_embed.weight" in weights:
        return {}
    return {f"{HEAD}.": parts.NO_DECODER}
