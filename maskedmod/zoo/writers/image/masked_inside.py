"""Models that see mask tokens inside the encoder: BEiT, data2vec for images, SimMIM."""

from __future__ import annotations

from typing import Any

from maskedmod.errors import UserError
from maskedmod.zoo.layouts.image.beit_parts import TABLE, pairs
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import HEAD, patch_kernel, shuffle
from maskedmod.zoo.writers.image import parts as vit
from maskedmod.zoo.writers.image.parts import Parts
from maskedmod.zoo.writing import Writer, Written, refuse

RELATIVE: dict[str, Any] = {"classes": 1, "positions": "relative", "qkv_bias": ("qv", "none"), "sees": "mask_token"}
ANYWHERE: dict[str, Any] = {**RELATIVE, "positions": ("relative", "learned", "none"), "relative": ("none", "shared", "block")}
CODES = ("codes", "tokenizer_ids")
NO_HEAD = "the head is none that the layout has: the encoder alone is written"


def beit(loaded: Loaded, version: int) -> Written:
    """``.pth`` of microsoft/unilm."""
    p = vit.parts(loaded, "beit", usual={**ANYWHERE, "activation": "gelu"})
    _needs(p, "beit", head=("linear",), target=CODES)
    out = p.writer()
    _fair(out, p, "", "encoder")
    out.leave("teacher.")
    out.linear(f"{HEAD}.pred", "lm_head")
    return Written(out.done(), "pth", _settings(p) | _block(p) | _labels(p), notes=_others(out))


def beit_v2(loaded: Loaded, version: int) -> Written:
    """``.pth`` of microsoft/unilm, folder beit2: BEiT and the blocks over the class token."""
    p = vit.parts(loaded, "beit_v2", usual={**ANYWHERE, "activation": "gelu"})
    _needs(p, "beit_v2", head=("linear",), target=CODES)
    own = ((loaded.tree["objectives"].get("class") or {}).get("head") or {}).get("class_aggregation")
    if own is None:
        raise UserError("layout beit_v2 is for an objective called class with head=class_aggregation")
    at, again = "objectives.class.head", p.encoder.get("relative", "none")
    shared = "shared" if p.encoder.get("positions") == "relative" or again == "shared" else again
    odd = [] if own.get("relative", "none") == shared else [f"relative={own.get('relative', 'none')} beside {shared}"]
    odd += [f"share={own['share']}"] if own.get("share") not in (None, "main") else []
    odd += [f"{x}={own[x]}" for x in ("mlp_ratio", "qkv_bias", "eps", "heads") if x in own and own[x] != p.encoder.get(x, own[x])]
    refuse("layout beit_v2, whose second head is of the encoder's kind,", odd)
    out = p.writer()
    _fair(out, p, "", "encoder")
    out.leave("teacher.")
    out.linear(f"{HEAD}.pred", "lm_head")
    out.stack(f"{at}.blocks", "cls_pt_layers.{i}", vit.FAIR)
    out.each(rf"{at}\.relative\.(\d+)\.table", rf"cls_pt_layers.\1.attn.{TABLE}")
    _indices(out, p, "cls_pt_layers.")
    out.linear(f"{at}.norm", "cls_pt_norm")
    out.linear(f"{at}.pred", "cls_pt_lm_head")
    config = _settings(p) | _block(p) | _labels(p) | {"early_layers": own.get("block", 8) + 1}
    return Written(out.done(), "pth", config, notes=_others(out))


def data2vec_vision(loaded: Loaded, version: int) -> Written:
    """``.pth`` of facebookresearch/data2vec_vision: the student, and the EMA teacher as ``model_ema``."""
    p = vit.parts(loaded, "data2vec_vision", usual={**ANYWHERE, "activation": "gelu"})
    _needs(p, "data2vec_vision", head=("linear",), target=("feature",))
    out = p.writer()
    _fair(out, p, "model.", "encoder")
    out.linear(f"{HEAD}.pred", "model.lm_head")
    _fair(out, p, "model_ema.", "teacher.encoder")
    for end in ("weight", "bias"):  # the teacher's own head is never used; without one to give back it is the student's
        kept = out.kept.get(f"model_ema.lm_head.{end}")
        out.out[f"model_ema.lm_head.{end}"] = out.out[f"model.lm_head.{end}"] if kept is None else kept
    return Written(out.done(), "pth", _settings(p) | _block(p) | _targets(p), nested=True)


def simmim(loaded: Loaded, version: int) -> Written:
    """``.pth`` of microsoft/SimMIM with a Vision Transformer."""
    p = vit.parts(loaded, "simmim", usual={**ANYWHERE, "activation": "gelu"})
    _needs(p, "simmim", head=("linear",), target=("raw",))
    out = p.writer()
    _fair(out, p, "encoder.", "encoder")
    out.linear(f"{HEAD}.pred", "decoder.0", shuffle(p.channels, p.patch))
    out.again("encoder.fc_norm.weight", "encoder.fc_norm.bias")
    return Written(out.done(), "pth", _settings(p) | _random(p))


def hf_beit(loaded: Loaded, version: int) -> Written:
    """``BeitForMaskedImageModeling``, or ``BeitModel`` and ``Data2VecVisionModel`` without head."""
    p = vit.parts(loaded, "hf_beit", usual={**ANYWHERE, "qkv_bias": "qv"})
    out, codes = p.writer(), p.head == "linear" and p.target in CODES
    named = version >= 5 and p.target != "feature"  # data2vec kept its names
    at = "beit." if codes else ""
    names, qkv = (vit.HF5, vit.QKV5) if named else (vit.HF4, vit.QKV4)
    out.leave("teacher.", *(() if codes else ("objectives.",)))
    placed = p.encoder.get("positions") == "learned"
    if placed:
        vit.tokens_and_places(out, p, f"{at}embeddings.cls_token", f"{at}embeddings.position_embeddings")
    out.one("encoder.prefix_tokens", f"{at}embeddings.cls_token")
    out.one("encoder.mask_token", f"{at}embeddings.mask_token", vit.vector((1, 1, -1)))
    vit.embedding(out, p, f"{at}embeddings.patch_embeddings.projection")
    layers = f"{at}layers." if named else f"{at}encoder.layer."
    out.stack("encoder.blocks", layers + "{i}", names, qkv)
    shared = f"{at}shared_position_bias" if named else f"{at}encoder.relative_position_bias"
    own = f"{layers}\\1." + ("" if named else "attention.attention.") + "relative_position_bias"
    block = p.encoder.get("relative") == "block"
    out.one("encoder.positions.table", f"{shared}.{TABLE}")
    out.each(r"encoder\.relative\.(\d+)\.table", f"{own if block else shared}.{TABLE}")
    final = bool(out.left.keys() & {"encoder.norm.weight"})
    out.linear("encoder.norm", "layernorm")
    out.linear(f"{HEAD}.pred", "lm_head")
    out.again("pooler.layernorm.weight", "pooler.layernorm.bias")
    notes = _others(out) if codes else [NO_HEAD]
    kind, model = ("data2vec-vision", "Data2VecVisionModel") if p.target == "feature" else ("beit", "BeitModel")
    config = vit.config(p, kind, "BeitForMaskedImageModeling" if codes else model)
    config |= {
        "use_mask_token": True,
        "use_shared_relative_position_bias": p.encoder.get("positions") == "relative" or p.encoder.get("relative") == "shared",
        "use_relative_position_bias": block,
        "use_absolute_position_embeddings": placed,
        "use_mean_pooling": codes or not final,
        "layer_scale_init_value": float(p.encoder.get("layer_scale") or 0),
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
    if f"{ours}.positions.table" in out.left and p.encoder.get("positions") != "relative":
        vit.tokens_and_places(out, p, f"{at}cls_token", f"{at}pos_embed", ours)
    out.one(f"{ours}.prefix_tokens", f"{at}cls_token")
    out.one(f"{ours}.mask_token", f"{at}mask_token", vit.vector((1, 1, -1)))
    out.one(f"{ours}.embed.weight", f"{at}patch_embed.proj.weight", patch_kernel(p.channels, p.patch))
    out.one(f"{ours}.embed.bias", f"{at}patch_embed.proj.bias")
    out.stack(f"{ours}.blocks", f"{at}blocks.{{i}}", vit.FAIR)
    out.linear(f"{ours}.norm", f"{at}norm")
    own = p.encoder.get("relative") == "block"
    out.one(f"{ours}.positions.table", f"{at}rel_pos_bias.{TABLE}")
    out.each(rf"{ours}\.relative\.(\d+)\.table", rf"{at}blocks.\1.attn.{TABLE}" if own else f"{at}rel_pos_bias.{TABLE}")
    _indices(out, p, at)


def _indices(out: Writer, p: Parts, at: str) -> None:
    """The index that stands beside every table of relative biases; the file's, where it had one."""
    for key in [key for key in out.out if key.startswith(at) and key.endswith(TABLE)]:
        name = key.removesuffix(TABLE) + "relative_position_index"
        index, kept = pairs(p.grid), out.original(name)
        out.out[name] = index if kept is None or kept.shape != index.shape else kept


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
    return {"image_size": list(p.size), "eps": p.eps, "heads": p.encoder.get("heads", 12), **found}


def _random(p: Parts) -> dict[str, Any]:
    mask = p.loaded.tree.get("mask", {}).get("random")
    return {} if mask is None else {"mask_ratio": mask.get("ratio", 0.6), "mask_patch_size": mask.get("unit", 1) * p.patch[0]}


def _labels(p: Parts) -> dict[str, Any]:
    return {"labels": p.target_arguments.get("key", "labels")} if p.target == "codes" else {}


def _block(p: Parts) -> dict[str, Any]:
    found = ((p.loaded.tree.get("mask") or {}).get("block") or {}).get("target")
    return {} if found is None else {"mask_patches": found}


def _targets(p: Parts) -> dict[str, Any]:
    """What data2vec's command line says of targets and loss. UserError where it has no word for it."""
    of, orders = p.target_arguments, {"norm": ("batch", "instance", "layer"), "post_norm": ("instance", "layer")}
    loss = (p.loaded.tree.get("loss") or {}).get("regression") or {}
    odd = [] if loss.get("kind") in ("mse", "smooth_l1") else [f"loss {loss.get('kind')}"]
    norms = {}
    for name, default in (("norm", "layer"), ("post_norm", "none")):
        given = of.get(name, default)
        norms[name] = [x for x in ((given,) if isinstance(given, str) else given) if x != "none"]
        odd += [] if norms[name] == [x for x in orders[name] if x in norms[name]] else [f"target.{name}={given}"]
    refuse("layout data2vec_vision", odd)
    return {
        "target_layers": list(of.get("layers", [])),
        "layer_results": "end" if of.get("of", "block") == "block" else "fc",
        "target_batch_norm": "batch" in norms["norm"],
        "target_instance_norm": "instance" in norms["norm"],
        "target_layer_norm_last": "layer" in norms["norm"],
        "post_target_instance_norm": "instance" in norms["post_norm"],
        "post_target_layer_norm": "layer" in norms["post_norm"],
        "l2_loss": loss.get("kind") == "mse",
        "l1_beta": loss.get("beta", 1.0),
        "loss_scale": loss.get("scale", 1.0),
    }
