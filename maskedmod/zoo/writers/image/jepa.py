"""I-JEPA as FAIR and transformers keep it."""

from __future__ import annotations

from typing import Any

from maskedmod.errors import UserError
from maskedmod.zoo.layouts.image import trees
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import HEAD, patch_kernel
from maskedmod.zoo.writers.image import parts as vit
from maskedmod.zoo.writers.image.parts import Parts
from maskedmod.zoo.writing import Writer, Written

PLAIN: dict[str, Any] = {"classes": 0, "layer_scale": None, "final_norm": (None, True), "positions": vit.TABLES}


def i_jepa(loaded: Loaded, version: int) -> Written:
    """``.pth`` of facebookresearch/ijepa: encoder, predictor, target encoder."""
    p = vit.parts(loaded, "i_jepa", usual={**PLAIN, "qkv_bias": ("all", "none"), "activation": "gelu"})
    if p.head != "mae_decoder" or p.target != "feature" or loaded.model.teacher is None:
        raise UserError("layout i_jepa is for a model with a teacher, target=feature and head=mae_decoder")
    out = p.writer()
    _fair(out, p, "encoder", "encoder", loaded.model.encoder)
    head: Any = loaded.model.objectives["main"].head
    out.one(f"{HEAD}.mask_token", "predictor.mask_token", vit.vector((1, 1, -1)))
    key = "predictor.predictor_pos_embed"
    out.out[key] = vit.places(out, head.positions, key, p.grid, 0, f"{HEAD}.positions")
    out.stack(f"{HEAD}.blocks", "predictor.predictor_blocks.{i}", vit.FAIR)
    for ours, theirs in (("embed", "embed"), ("norm", "norm"), ("pred", "proj")):
        out.linear(f"{HEAD}.{ours}", f"predictor.predictor_{theirs}")
    _fair(out, p, "target_encoder", "teacher.encoder", loaded.model.teacher.encoder)
    settings = {"heads": p.encoder.get("heads", 12), "predictor_heads": p.head_arguments.get("heads", 16), "eps": p.eps}
    return Written(out.done(), "pth", {**settings, **_masks(p), "image_size": list(p.size)}, nested=True)


def hf_i_jepa(loaded: Loaded, version: int) -> Written:
    """``IJepaModel``: the encoder."""
    p = vit.parts(loaded, "hf_i_jepa", usual={**PLAIN, "qkv_bias": ("all", "none")})
    out = p.writer()
    names, qkv = (vit.HF5, vit.QKV5) if version >= 5 else (vit.HF4, vit.QKV4)
    out.leave("teacher.", "objectives.", "encoder.mask_token")
    key = "embeddings.position_embeddings"
    encoder: Any = loaded.model.encoder
    out.out[key] = vit.places(out, encoder.positions, key, p.grid, 0, "encoder.positions")
    vit.embedding(out, p, "embeddings.patch_embeddings.projection")
    out.stack("encoder.blocks", "layers.{i}" if version >= 5 else "encoder.layer.{i}", names, qkv)
    out.linear("encoder.norm", "layernorm")
    config = vit.config(p, "ijepa", "IJepaModel") | {"qkv_bias": p.encoder.get("qkv_bias", "all") == "all"}
    notes = ["the encoder alone is written: no predictor, no teacher"]
    return Written(out.done(), "hf", config, vit.preprocessor(p), notes=notes)


def _fair(out: Writer, p: Parts, at: str, ours: str, encoder: Any) -> None:
    key = f"{at}.pos_embed"
    out.out[key] = vit.places(out, encoder.positions, key, p.grid, 0, f"{ours}.positions")
    out.one(f"{ours}.embed.weight", f"{at}.patch_embed.proj.weight", patch_kernel(p.channels, p.patch))
    out.one(f"{ours}.embed.bias", f"{at}.patch_embed.proj.bias")
    out.stack(f"{ours}.blocks", f"{at}.blocks.{{i}}", vit.FAIR)
    out.linear(f"{ours}.norm", f"{at}.norm")


def _masks(p: Parts) -> dict[str, Any]:
    """What the collator was told."""
    mask = p.loaded.tree.get("mask") or {}
    blocks, ratio = mask.get("multi_block") or {}, (mask.get("random") or {}).get("ratio")
    drawn = {"ratio": [ratio["low"], ratio["high"]]} if isinstance(ratio, dict) and "low" in ratio else {}
    return {name: blocks[ours] for name, ours in trees.BLOCKS.items() if ours in blocks} | drawn
