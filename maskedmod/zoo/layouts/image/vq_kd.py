"""VQ-KD, the tokenizer of BEiT v2, as microsoft/unilm saves it: encoder and codebook, and the decoder of a teacher's features."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import FREE, TENSORS, Argument, Setting, only
from maskedmod.zoo.layouts.image import beit_parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule
from maskedmod.zoo.settings import heads_of

NAME = "vq_kd"
SETTINGS: dict[str, Any] = {
    "image_size": None,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "heads": None,
    "decoder_heads": None,
    "decay": 0.99,
    "features": "features",
    "eps": 1e-6,
}
CONFIG = {"decay": "ema_decay"}
REFERENCE = "microsoft/unilm@768a3c8 beit2/modeling_vqkd.py VQKD with two of modeling_finetune.py VisionTransformer"
ARGUMENTS: dict[str, Argument] = {
    **{name: how for name, how in beit_parts.VIT.items() if not name.startswith("use_")},
    "decay": Setting("decay"),
    "beta": only(1.0, None),
    **dict.fromkeys(("codebook_dim", "encoder_depth", "decoder_depth"), TENSORS),
    "process_type": only("default", None),
    "rec_loss_type": only("cosine", None),
    "use_abs_pos_emb": only(True, None),
    "use_rel_pos_bias": only(False, None),
    "use_shared_rel_pos_bias": only(False, None),
    "use_mean_pooling": only(True, None),
    **dict.fromkeys(("n_embed", "codebook_n_emd", "codebook_emd_dim", "decoder_out_dim"), TENSORS),
    **dict.fromkeys(("quantize_kmeans_init", "teacher_model_type", "teacher_input_size", "init_scale", "num_classes"), FREE),
}
REFUSED = {
    r"encoder\.(?:rel_pos_bias\..*|blocks\.\d+\.attn\.relative_position_.*)": "an encoder with relative positions",
    r"encoder\.norm\.weight": "an encoder without mean pooling (use_mean_pooling false)",
}

PATCH = r"encoder\.patch_embed\.proj\.weight"
BOOK, OUT = "quantize.embedding.weight", "decode_task_layer.2.weight"


def matches(weights: Weights) -> bool:
    return {BOOK, "encode_task_layer.0.weight", "encoder.patch_embed.proj.weight"} <= set(weights)


def recipe(weights: Weights, settings: Tree) -> Tree:
    table = parts.tensor(weights, r"encoder\.pos_embed")
    modality, _ = parts.image(weights, PATCH, table.shape[1] - 1, settings)
    encoder = _vit(weights, "encoder", settings["heads"], settings["eps"])
    codes = {"codes": weights[BOOK].shape[0], "code_width": weights[BOOK].shape[1], "decay": settings["decay"]}
    tree: Tree = {
        "modality": modality,
        "mask": {"nothing": {}},
        "encoder": {"vq_transformer": {**encoder, **codes, "init": "trunc_normal"}},
        "target": {"raw": {"norm": "none"}},
        "head": {"linear": {}},
        "loss": {"regression": {"kind": "mse"}},
        "objectives": {"main": {"region": "all"}},
    }
    if not _decodes(weights):
        return tree
    head = _vit(weights, "decoder", settings["decoder_heads"] or encoder["heads"], settings["eps"])
    tree["target"] = {"vectors": {"width": weights[OUT].shape[0], "key": settings["features"]}}
    tree["head"] = {"mae_decoder": {**head, "classes": 1, "bottleneck": True}}
    tree["loss"] = {"cosine": {}}
    commitment = {"target": {"nearest_codes": {}}, "head": {"tap": {"name": "vectors"}}, "region": "all"}
    commitment["loss"] = {"vq": {"commitment": 1.0, "codebook": 0.0}}
    tree["objectives"]["codebook"] = commitment
    return tree


def _decodes(weights: Weights) -> bool:
    """Whether the decoder is there, all of it."""
    return {OUT, "decoder.pos_embed", "decoder.patch_embed.proj.weight", "decoder.fc_norm.weight"} <= set(weights)


def _vit(weights: Weights, at: str, heads: int | None, eps: float) -> Tree:
    width = weights[f"{at}.patch_embed.proj.weight"].shape[0]
    return {
        "depth": parts.depth(weights, rf"{at}\.blocks\.(\d+)\..*"),
        "width": width,
        "heads": heads or heads_of(width),
        "mlp_ratio": parts.tensor(weights, rf"{at}\.blocks\.0\.mlp\.fc1\.weight").shape[0] / width,
        "qkv_bias": "qv" if f"{at}.blocks.0.attn.q_bias" in weights else "none",
        "positions": "learned",
        "eps": eps,
    }


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    out = [
        *_vit_rules(weights, "encoder", "encoder.vit", "prefix_tokens"),
        Rule(r"encode_task_layer\.([02])\.(weight|bias)", r"encoder.project.\1.\2"),
        Rule(r"quantize\.embedding\.weight", "encoder.book.vectors"),
        Rule(r"quantize\.embedding\.initted", "encoder.book.started", lambda x: x.reshape(()).bool()),
        Rule(r"quantize\.(?:embedding\.)?(?:cluster_size|embed_avg)", unneeded="statistics of the codebook's training"),
        Rule(r"(?:teacher_model|scaling_layer|loss)\..*", unneeded="the teacher, whose features are reconstructed"),
    ]
    if not _decodes(weights):
        why = "what reconstructs the teacher's features, and not all of it is there"
        return [*out, Rule(r"(?:decoder|decode_task_layer)\..*", unneeded=why)]
    last = Rule(r"decode_task_layer\.([02])\.(weight|bias)", rf"{HEAD}.pred.\1.\2")
    return [*out, last, *_vit_rules(weights, "decoder", HEAD, "class_token")]


def _vit_rules(weights: Weights, at: str, to: str, token: str) -> list[Rule]:
    table = weights[f"{at}.pos_embed"]
    return [
        parts.class_rule(rf"{at}\.cls_token", table, to, token),
        parts.table_rule(rf"{at}\.pos_embed", "learned", f"{to}.positions.table", 1),
        *parts.patch_rules(rf"{at}\.patch_embed\.proj", f"{to}.embed"),
        *parts.block_rules(rf"{at}\.blocks", f"{to}.blocks"),
        *parts.linear_rules(rf"{at}\.fc_norm", f"{to}.norm"),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return {} if _decodes(weights) else {f"{HEAD}.": "codes need no head; a linear one on pixels stands in"}
