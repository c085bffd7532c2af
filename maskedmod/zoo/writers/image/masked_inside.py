"""Models that see mask tokens inside the encoder: BEiT, data2vec for images, SimMIM."""

from __future__ import annotations

from typing import Any

from maskedmod.errors import UserError
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import HEAD, patch_kernel, shuffle
from maskedmod.zoo.writers.image import parts as vit
from maskedmod.zoo.writers.image.parts import Parts
from maskedmod.zoo.writing import Writer, Written

RELATIVE: dict[str, Any] = {"classes": 1, "positions": "relative", "qkv_bias": ("qv", "none"), "sees": "mask_token"}
CODES = ("codes", "tokenizer_ids")
NO_HEAD = "the head is none that the layout has: the encoder alone is written"


def beit(loaded: Loaded, version: int) -> Written:
    """``.pth`` of microsoft/unilm."""
    p = vit.parts(loaded, "beit", usual={**RELATIVE, "activation": "gelu"})
    _needs(p, "beit", head=("linear",), target=CODES)
    out = p.writer()
    _fair(out, p, "", "encoder")
    out.leave("teacher.")
    out.linear(f"{HEAD}.pred", "lm_head")
    return Written(out.done(), "pth", _settings(p), notes=_others(out))


def data2vec_vision(loaded: Loaded, version: int) -> Written:
    """``.pth`` of facebookresearch/data2vec_vision: the student, and the EMA teacher as ``model_ema``."""
    p = vit.parts(loaded, "data2vec_vision", usual={**RELATIVE, "activation": "gelu"})
    _needs(p, "data2vec_vision", head=("linear",), target=("feature",))
    out = p.writer()
    _fair(out, p, "model.", "encoder")
    out.linear(f"{HEAD}.pred", "model.lm_head")
    _fair(out, p, "model_ema.", "teacher.encoder")
    for end in ("weight", "bias"):  # the teacher's own head is never used; without one to give back it is the student's
        kept = out.kept.get(f"model_ema.lm_head.{end}")
        out.out[f"model_ema.lm_head.{end}"] = out.out[f"model.lm_head.{end}"] if kept is None else kept
    of = p.target_arguments
    config = _settings(p) | {
        "target_layers": list(of.get("layers", [])),
        "layer_results": "end" if of.get("of", "block") == "block" else "fc",
        "target_layer_norm_last": of.get("norm", "layer") == "layer",
        "post_target_layer_norm": of.get("post_norm", "none") == "layer",
    }
    return Written(out.done(), "pth", config, nested=True)


def simmim(loaded: Loaded, version: int) -> Written:
    """``.pth`` of microsoft/SimMIM with a Vision Transformer."""
    p = vit.parts(loaded, "simmim", usual={**RELATIVE, "activation": "gelu"})
    _needs(p, "simmim", head=("linear",), target=("raw",))
    out = p.writer()
    _fair(out, p, "encoder.", "encoder")
    out.linear(f"{HEAD}.pred", "decoder.0", shuffle(p.channels, p.patch))
    out.again("encoder.fc_norm.weight", "encoder.fc_norm.bias")
    return Written(out.done(), "pth", _settings(p) | _random(p))


def hf_beit(loaded: Loaded, version: int) -> Written:
    """``BeitForMaskedImageModeling``, or ``BeitModel`` and ``Data2VecVisionModel`` without head."""
    p = vit.parts(loaded, "hf_beit", usual=RELATIVE)
    out, codes = p.writer(), p.head == "linear" and p.target in CODES
    named = version >= 5 and p.target != "feature"  # data2vec kept its names
    at = "beit." if codes else ""
    names, qkv = (vit.HF5, vit.QKV5) if named else (vit.HF4, vit.QKV4)
    out.leave("teacher.", *(() if codes else ("objectives.",)))
    out.one("encoder.prefix_tokens", f"{at}embeddings.cls_token")
    out.one("encoder.mask_token", f"{at}embeddings.mask_token", vit.vector((1, 1, -1)))
    vit.embedding(out, p, f"{at}embeddings.patch_embeddings.projection")
    out.stack("encoder.blocks", f"{at}layers.{{i}}" if named else f"{at}encoder.layer.{{i}}", names, qkv)
    shared = f"{at}shared_position_bias" if named else f"{at}encoder.relative_position_bias"
    out.one("encoder.positions.table", f"{shared}.relative_position_bias_table")
    final = bool(out.left.keys() & {"encoder.norm.weight"})
    out.linear("encoder.norm", "layernorm")
    out.linear(f"{HEAD}.pred", "lm_head")
    out.again("pooler.layernorm.weight", "pooler.layernorm.bias")
    notes = _others(out) if codes else [NO_HEAD]
    kind, model = ("data2vec-vision", "Data2VecVisionModel") if p.target == "feature" else ("beit", "BeitModel")
    config = vit.config(p, kind, "BeitForMaskedImageModeling" if codes else model)
    config |= {
        "use_mask_token": True,
        "use_shared_relative_position_bias": True,
        "use_relative_position_bias": False,
        "use_absolute_position_embeddings": False,
        "use_mean_pooling": codes or not final,
        "layer_scale_init_value": p.encoder.get("layer_scale") or 0,
    }
    if codes:
        config["vocab_size"] = p.loaded.model.objectives["main"].target.width  # type: ignore[union-attr]
    return Written(out.done(), "hf", config, vit.preprocessor(p), notes=notes)


def hf_vit_mim(loaded: Loaded, version: int) -> Written:
    """``ViTForMaskedImageModeling``: SimMIM on a plain Vision Transformer."""
    places = {"classes": 1, "positions": vit.TABLES, "sees": "mask_token", "layer_scale": None}
    p = vit.parts(loaded, "hf_vit_mim", usual={**places, "qkv_bias": ("all", "none"), "final_norm": (None, True)})
    _needs(p, "hf_vit_mim", head=("linear",), target=("raw",))
    if p.patch[0] != p.patch[1]:
        raise UserError("layout hf_vit_mim has square patches only")
    out = p.writer()
    names, qkv = (vit.HF5, vit.QKV5) if version >= 5 else (vit.HF4, vit.QKV4)
    vit.tokens_and_places(out, p, "vit.embeddings.cls_token", "vit.embeddings.position_embeddings")
    out.one("encoder.mask_token", "vit.embeddings.mask_token", vit.vector((1, 1, -1)))
    vit.embedding(out, p, "vit.embeddings.patch_embeddings.projection")
    out.stack("encoder.blocks", "vit.layers.{i}" if version >= 5 else "vit.encoder.layer.{i}", names, qkv)
    out.linear("encoder.norm", "vit.layernorm")
    out.linear(f"{HEAD}.pred", "decoder.0", shuffle(p.channels, p.patch))
    config = vit.config(p, "vit", "ViTForMaskedImageModeling")
    config |= {"encoder_stride": p.patch[0], "qkv_bias": p.encoder.get("qkv_bias", "all") == "all"}
    return Written(out.done(), "hf", config, vit.preprocessor(p))


def _fair(out: Writer, p: Parts, at: str, ours: str) -> None:
    """An encoder of BEiT's relatives."""
    out.one(f"{ours}.prefix_tokens", f"{at}cls_token")
    out.one(f"{ours}.mask_token", f"{at}mask_token", vit.vector((1, 1, -1)))
    out.one(f"{ours}.embed.weight", f"{at}patch_embed.proj.weight", patch_kernel(p.channels, p.patch))
    out.one(f"{ours}.embed.bias", f"{at}patch_embed.proj.bias")
    out.stack(f"{ours}.blocks", f"{at}blocks.{{i}}", vit.FAIR)
    out.linear(f"{ours}.norm", f"{at}norm")
    out.one(f"{ours}.positions.table", f"{at}rel_pos_bias.relative_position_bias_table")
    out.out[f"{at}rel_pos_bias.relative_position_index"] = vit.grid_bias_index(p.grid)


def _others(out: Writer) -> list[str]:
    """Objectives beside the first are left out, and named."""
    names = sorted({key.split(".")[1] for key in out.left if key.startswith("objectives.") and not key.startswith(f"{HEAD}.")})
    out.leave(*(f"objectives.{name}." for name in names))
    return [f"the head of objective {name} is left out" for name in names]


def _needs(p: Parts, layout: str, head: tuple[str, ...], target: tuple[str, ...]) -> None:
    for what, found, accepted in (("head", p.head, head), ("target", p.target, target)):
        if found not in accepted:
            raise UserError(f"layout {layout} is for {what}={' or '.join(accepted)}, this model has {what}={found or 'none'}")


def _settings(p: Parts) -> dict[str, Any]:
    found = {key: list(value) for key, value in p.loaded.modality.statistics.items() if key in ("mean", "std")}
    return {"image_size": list(p.size), "eps": p.eps, **found}


def _random(p: Parts) -> dict[str, Any]:
    mask = p.loaded.tree.get("mask", {}).get("random")
    return {} if mask is None else {"mask_ratio": mask.get("ratio", 0.6), "mask_patch_size": mask.get("unit", 1) * p.patch[0]}
