"""MAE and Audio-MAE as FAIR, transformers and timm keep them, and plain Vision Transformers for timm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import HEAD
from maskedmod.zoo.writers.image import parts as vit
from maskedmod.zoo.writers.image.parts import Parts
from maskedmod.zoo.writing import Writer, Written, unusual

PLAIN: dict[str, Any] = {"classes": 1, "layer_scale": None, "final_norm": (None, True), "positions": vit.TABLES}
NOT_SQUARE = "of images that are not square transformers reads the encoder alone, as ViTMAEModel; the decoder is in the file"
NO_DECODER = "the head is no MAE decoder of pixels: the encoder alone is written"


def fair_mae(loaded: Loaded, version: int) -> Written:
    """``.pth`` of facebookresearch/mae, with decoder where there is one; transformers' models go there too."""
    p = vit.parts(loaded, "fair_mae", usual={**PLAIN, "qkv_bias": "all", "activation": "gelu"})
    return _fair(p)


def audio_mae(loaded: Loaded, version: int) -> Written:
    """``.pth`` of facebookresearch/AudioMAE, window decoder or plain."""
    p = vit.parts(loaded, "audio_mae", "audio", {**PLAIN, "qkv_bias": "all", "activation": "gelu"})
    return _fair(p)


def timm_vit(loaded: Loaded, version: int) -> Written:
    """The encoder as ``timm.create_model`` reads it."""
    own = (loaded.tree.get("encoder") or {}).get("transformer") or {}
    any_of = {key: own[key] for key in ("layer_scale", "registers") if key in own}
    p = vit.parts(loaded, "timm_vit", usual={**PLAIN, "activation": "gelu", "qkv_bias": ("all", "none"), **any_of})
    out = p.writer()
    notes = ["the encoder alone is written: timm has no pre-training heads"]
    if p.eps != 1e-6:
        notes.append(f"timm's norms have eps 1e-6, this model's {p.eps:g}: outputs differ by about 1e-4")
    out.leave("objectives.", "teacher.", "encoder.mask_token")
    encoder: Any = p.loaded.model.encoder
    height, width = p.size
    registers, scaled = p.encoder.get("registers", 0), p.encoder.get("layer_scale") is not None
    if registers:
        _tokens_apart(out, p)
    _fair_encoder(out, p, {**vit.FAIR, "scale1.gamma": "ls1.gamma", "scale2.gamma": "ls2.gamma"})
    arguments = {
        "img_size": [height, width], "patch_size": p.patch[0], "in_chans": p.channels, "embed_dim": encoder.width,
        "depth": len(encoder.blocks), "num_heads": encoder.heads, "qkv_bias": p.encoder.get("qkv_bias", "all") == "all",
        "mlp_ratio": encoder.blocks[0].mlp.fc1.out_features / encoder.width if len(encoder.blocks) else 4.0,
    }  # fmt: skip
    arguments |= {"reg_tokens": registers, "no_embed_class": True} if registers else {}
    arguments |= {"init_values": p.encoder["layer_scale"]} if scaled else {}
    pretrained: dict[str, Any] = {"input_size": [p.channels, height, width], "num_classes": 0}
    pretrained |= {"first_conv": "patch_embed.proj", "classifier": "head"}
    pretrained |= {key: value for key, value in loaded.modality.statistics.items() if key in ("mean", "std")}
    config = {
        "architecture": "vit_base_patch16_224", "num_classes": 0, "num_features": encoder.width, "model_args": arguments,
        "pretrained_cfg": pretrained,
    }  # fmt: skip
    return Written(out.done(), "timm", config, notes=notes)


def hf_vit_mae(loaded: Loaded, version: int) -> Written:
    """``ViTMAEForPreTraining`` with decoder, ``ViTMAEModel`` without one; names of transformers 4 or 5."""
    p = vit.parts(loaded, "hf_vit_mae", usual={**PLAIN, "qkv_bias": ("all", "none")})
    out, whole = p.writer(), _decodes(p, windows=False)
    notes = [] if whole else [NO_DECODER]
    square = p.grid[0] == p.grid[1]
    if whole and not square:
        notes.append(NOT_SQUARE)
    names, qkv = (vit.HF5, vit.QKV5) if version >= 5 else (vit.HF4, vit.QKV4)
    at = "vit." if whole else ""
    out.leave("teacher.", "encoder.mask_token", *(() if whole else ("objectives.",)))
    vit.tokens_and_places(out, p, f"{at}embeddings.cls_token", f"{at}embeddings.position_embeddings")
    vit.embedding(out, p, f"{at}embeddings.patch_embeddings.projection")
    out.stack("encoder.blocks", f"{at}layers.{{i}}" if version >= 5 else f"{at}encoder.layer.{{i}}", names, qkv)
    out.linear("encoder.norm", f"{at}layernorm")
    config = vit.config(p, "vit_mae", "ViTMAEForPreTraining" if whole and square else "ViTMAEModel")
    config |= {"qkv_bias": p.encoder.get("qkv_bias", "all") == "all", **_settings(p)}
    if whole:
        out.one(f"{HEAD}.mask_token", "decoder.mask_token", vit.vector((1, 1, -1)))
        _decoder(out, p, "decoder.decoder_pos_embed")
        for name in ("embed", "norm", "pred"):
            out.linear(f"{HEAD}.{name}", f"decoder.decoder_{name}")
        out.stack(f"{HEAD}.blocks", "decoder.decoder_layers.{i}", names, qkv)
        head: Any = p.loaded.model.objectives["main"].head
        config |= {
            "decoder_hidden_size": head.embed.out_features,
            "decoder_num_hidden_layers": len(head.blocks),
            "decoder_num_attention_heads": p.head_arguments.get("heads", 16),
            "decoder_intermediate_size": head.blocks[0].mlp.fc1.out_features if len(head.blocks) else head.embed.out_features,
        }
    return Written(out.done(), "hf", config, vit.preprocessor(p), notes=notes)


def _fair(p: Parts) -> Written:
    out, whole = p.writer(), _decodes(p, windows=p.loaded.modality.spec.axes == 2)
    out.leave("teacher.", "encoder.mask_token", *(() if whole else ("objectives.",)))
    _fair_encoder(out, p)
    settings = {"heads": p.encoder.get("heads", 12), "eps": p.eps, **_settings(p), **_modality(p)}
    if whole:
        out.one(f"{HEAD}.mask_token", "mask_token", vit.vector((1, 1, -1)))
        _decoder(out, p, "decoder_pos_embed")
        for name in ("embed", "norm", "pred"):
            out.linear(f"{HEAD}.{name}", f"decoder_{name}")
        windows = {"attn.tau": "attn.tau", "attn.bias_in": "attn.meta_mlp.fc1", "attn.bias_out": "attn.meta_mlp.fc2"}
        out.stack(f"{HEAD}.blocks", "decoder_blocks.{i}", {**vit.FAIR, **windows})
        settings["decoder_heads"] = p.head_arguments.get("heads", 16)
        settings |= {key: p.head_arguments[key] for key in ("window", "shift") if p.head_arguments.get("window") is not None}
    return Written(out.done(), "pth", settings, notes=[] if whole else [NO_DECODER])


def _tokens_apart(out: Writer, p: Parts) -> None:
    """Class token and registers, which have no positions."""
    tokens = out.left.pop("encoder.prefix_tokens")
    out.out["cls_token"], out.out["reg_token"] = tokens[:, :1], tokens[:, 1:]
    encoder: Any = p.loaded.model.encoder
    out.out["pos_embed"] = vit.places(out, encoder.positions, "pos_embed", p.grid, 0, "encoder.positions")


def _fair_encoder(out: Writer, p: Parts, names: Mapping[str, str] = vit.FAIR) -> None:
    if "encoder.prefix_tokens" in out.left:
        vit.tokens_and_places(out, p, "cls_token", "pos_embed")
    vit.embedding(out, p, "patch_embed.proj")
    out.stack("encoder.blocks", "blocks.{i}", names)
    out.linear("encoder.norm", "norm")


def _decoder(out: Writer, p: Parts, table: str) -> None:
    head: Any = p.loaded.model.objectives["main"].head
    out.out[table] = vit.places(out, head.positions, table, p.grid, 1, f"{HEAD}.positions")


def _decodes(p: Parts, windows: bool) -> bool:
    """Whether the head is the decoder of pixels that these files have, and the encoder is used as they use it."""
    plain = windows or p.head_arguments.get("window") is None
    only = len(p.loaded.model.objectives) == 1
    own = p.head_arguments
    same = own.get("eps", 1e-6) == p.eps and own.get("qkv_bias", "all") == p.encoder.get("qkv_bias", "all")
    trained = not any(key.startswith(f"{HEAD}.") for key in p.loaded.report.untrained)
    odd = unusual(p.head_arguments, {"refill": False, "every_block": False, "embed": True, "prompting": False})
    mine = p.head == "mae_decoder" and p.target == "raw" and not odd
    return mine and plain and only and same and trained and p.encoder.get("sees", "visible") == "visible"


def _settings(p: Parts) -> dict[str, Any]:
    mask = p.loaded.tree.get("mask", {}).get("random") or {}
    return {"mask_ratio": mask.get("ratio", 0.75), "norm_pix_loss": p.target_arguments.get("norm", "none") == "patch"}


def _modality(p: Parts) -> dict[str, Any]:
    """What our reader takes from ``args`` again."""
    if p.loaded.modality.spec.channels == 1 and "audio" in p.loaded.tree["modality"]:
        audio = p.loaded.tree["modality"]["audio"] or {}
        overlap = {} if audio.get("stride") is None else {"stride": audio["stride"]}
        return {"mel_bins": audio.get("mel_bins", p.size[1]), **overlap}
    found = {key: list(value) for key, value in p.loaded.modality.statistics.items() if key in ("mean", "std")}
    return {"image_size": list(p.size), **found}
