"""ESM-2, ESM-1b and ESM-1v as fair-esm and transformers keep them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.layers.positions import Table
from maskedmod.layers.token_dropout import TokenDropout
from maskedmod.zoo.layouts.sequence import fair_esm as fair_names
from maskedmod.zoo.layouts.sequence import hf_esm as hf_names
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.writers.sequence.bert import listed
from maskedmod.zoo.writing import Written, unusual

USUAL: dict[str, Any] = {
    "norm": "layer", "norm_place": "pre", "activation": "gelu", "qkv_bias": "all", "qk_norm": False, "layer_scale": None,
    "random_features": None, "causal": False, "classes": 0, "registers": 0, "positions": ("rotary", "learned"),
}  # fmt: skip
"""Encoder arguments that ESM's code takes for granted."""


def fair_esm(loaded: Loaded, version: int) -> Written:
    """``esm.ESM2`` or ``esm.ProteinBertModel``. Its reader sets the mask token's row to zero in models with learned positions."""
    found = sizes(loaded)
    contacts, notes = _contacts(loaded, found)
    return Written(fair_names.written(loaded.model.state_dict(), contacts), "pth", found, notes=notes)


def hf_esm(loaded: Loaded, version: int) -> Written:
    """``EsmForMaskedLM``, names of transformers 4 or 5."""
    found = sizes(loaded)
    config = {
        "architectures": ["EsmForMaskedLM"],
        "model_type": "esm",
        "vocab_size": found["vocab"],
        "hidden_size": found["width"],
        "num_hidden_layers": found["layers"],
        "num_attention_heads": found["heads"],
        "intermediate_size": found["inner"],
        "layer_norm_eps": found["eps"],
        "max_position_embeddings": found["rows"],
        "position_embedding_type": "rotary" if found["rotary"] else "absolute",
        "emb_layer_norm_before": found["norm_before"],
        "token_dropout": found["token_dropout"],
        "mask_token_id": found["mask"],
        "pad_token_id": found["pad"],
        "tie_word_embeddings": True,
    }
    contacts, notes = _contacts(loaded, found)
    known = loaded.tree["modality"].get("protein", {}).get("alphabet") in ("esm", "saprot")
    weights = hf_names.written(loaded.model.state_dict(), contacts, version)
    return Written(weights, "hf", config, {} if known else listed(loaded), notes=notes)


def _contacts(loaded: Loaded, found: dict[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """The regression of contacts, which both readers ask for; zeros, and a note, for a model that has none."""
    if "contact.weight" in loaded.extras:
        return loaded.extras, []
    zeros = {"contact.weight": torch.zeros(1, found["layers"] * found["heads"]), "contact.bias": torch.zeros(1)}
    return zeros, ["no contact regression was trained: zeros stand in its place"]


def sizes(loaded: Loaded) -> dict[str, Any]:
    """What no tensor tells. UserError for an encoder that ESM's code could not run."""
    encoder = loaded.tree.get("encoder", {}).get("transformer")
    if encoder is None or not hasattr(loaded.model.encoder, "embed_norm"):
        raise UserError("only transformers of the ESM family are written in these layouts")
    model: Any = loaded.model.encoder
    odd = unusual({"positions": "sincos", **encoder}, USUAL)
    if odd:
        raise UserError(f"ESM has no such encoder: {', '.join(odd)}")
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
        "pad": encoder.get("position_offset", 2) - 1 if isinstance(model.positions, Table) else 1,
    }
