"""Write a model in a published layout, so that the published code reads it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from maskedmod.errors import UserError, unknown
from maskedmod.layers.positions import Table
from maskedmod.layers.token_dropout import TokenDropout
from maskedmod.zoo.layouts import fair_esm, hf_esm

if TYPE_CHECKING:
    from maskedmod.api.loaded import Loaded

LAYOUTS = ("fair_esm", "hf_esm")


def export(loaded: Loaded, layout: str, path: str | Path | None = None, version: int = 5) -> dict[str, Tensor]:
    """The state dict in the names of ``layout``, which is also written to ``path``.

    ``fair_esm``: ``path.pt`` and ``path-contact-regression.pt``; the reader of fair-esm wants names of ESM-2 to begin with
    ``esm2``, and sets the mask token's row to zero in models with learned positions.
    ``hf_esm``: a folder with ``model.safetensors`` and ``config.json``, names of transformers 5, or 4 with ``version=4``.
    UserError for models that are no ESM.
    """
    if layout not in LAYOUTS:
        raise unknown("layout", layout, LAYOUTS)
    settings = _settings(loaded)
    state = loaded.model.state_dict()
    if layout == "fair_esm":
        named = fair_esm.written(state, loaded.extras)
        if path is not None:
            _save_fair(Path(path), named, settings)
    else:
        named = hf_esm.written(state, loaded.extras, version)
        if path is not None:
            _save_hf(Path(path), named, settings)
    return named


def _settings(loaded: Loaded) -> dict[str, Any]:
    """What no tensor tells. UserError for an encoder that ESM's code could not run."""
    encoder = loaded.tree.get("encoder", {}).get("transformer")
    if encoder is None or not hasattr(loaded.model.encoder, "embed_norm"):
        raise UserError("only transformers of the ESM family are written in these layouts")
    model: Any = loaded.model.encoder
    odd = [f"{key}={encoder[key]}" for key, usual in USUAL.items() if encoder.get(key, usual) != usual]
    if odd or encoder.get("positions") not in ("rotary", "learned"):
        raise UserError(f"ESM has no such encoder: {', '.join(odd) or 'positions'}")
    return {
        "vocab": len(model.embed.weight),
        "width": model.width,
        "layers": model.depth(),
        "heads": model.heads,
        "inner": model.blocks[0].mlp.fc1.out_features,
        "eps": model.blocks[0].norm1.eps,
        "rotary": not isinstance(model.positions, Table),
        "rows": len(model.positions.table) if isinstance(model.positions, Table) else 1026,
        "norm_before": not isinstance(model.embed_norm, torch.nn.Identity),
        "token_dropout": isinstance(model.token_dropout, TokenDropout),
        "mask": model.embed.mask,
    }


USUAL = {
    "norm": "layer", "norm_place": "pre", "activation": "gelu", "qkv_bias": "all", "qk_norm": False, "layer_scale": None,
    "random_features": None, "causal": False, "classes": 0, "registers": 0,
}  # fmt: skip
"""Encoder arguments that ESM's code takes for granted."""


def _save_fair(path: Path, named: dict[str, Tensor], settings: dict[str, Any]) -> None:
    regression = {key: tensor for key, tensor in named.items() if key.startswith("contact_head.")}
    state = {key: tensor for key, tensor in named.items() if key not in regression}
    args = argparse.Namespace(
        arch="roberta_large",
        encoder_layers=settings["layers"],
        encoder_embed_dim=settings["width"],
        encoder_ffn_embed_dim=settings["inner"],
        encoder_attention_heads=settings["heads"],
        max_positions=settings["rows"] - 2,
        token_dropout=settings["token_dropout"],
        final_bias=True,
    )
    content = {"cfg": {"model": args}} if settings["rotary"] else {"args": args}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**content, "model": state}, path.with_name(f"{path.name}.pt"))
    if regression:
        torch.save({"model": regression}, path.with_name(f"{path.name}-contact-regression.pt"))


def _save_hf(path: Path, named: dict[str, Tensor], settings: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    config = {
        "architectures": ["EsmForMaskedLM"],
        "model_type": "esm",
        "vocab_size": settings["vocab"],
        "hidden_size": settings["width"],
        "num_hidden_layers": settings["layers"],
        "num_attention_heads": settings["heads"],
        "intermediate_size": settings["inner"],
        "layer_norm_eps": settings["eps"],
        "max_position_embeddings": settings["rows"],
        "position_embedding_type": "rotary" if settings["rotary"] else "absolute",
        "emb_layer_norm_before": settings["norm_before"],
        "token_dropout": settings["token_dropout"],
        "mask_token_id": settings["mask"],
        "pad_token_id": 1,
        "tie_word_embeddings": True,
    }
    path.mkdir(parents=True, exist_ok=True)
    save_file(named, path / "model.safetensors", metadata={"format": "pt"})
    (path / "config.json").write_text(json.dumps(config, indent=1) + "\n")
