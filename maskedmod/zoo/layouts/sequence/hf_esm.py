"""``EsmForMaskedLM`` of transformers 4 and 5: ESM-2, ESM-1b, ESM-1v, SaProt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.layouts.sequence import esm_names, letters
from maskedmod.zoo.layouts.sequence.parts import refuse
from maskedmod.zoo.mapping import HEAD, Rule

NAME = "hf_esm"
SETTINGS: dict[str, Any] = {
    **letters.SETTINGS, "heads": None, "token_dropout": True, "eps": 1e-5, "positions": None, "pad": 1, "activation": "gelu",
    "is_decoder": False, "is_folding_model": False,
}  # fmt: skip
ACCEPTED: dict[str, tuple[Any, ...]] = {
    "positions": ("rotary", "absolute", None), "activation": ("gelu",), "is_decoder": (False, None),
    "is_folding_model": (False, None),
}  # fmt: skip
"""Options of the published code of which these values are built here."""
CONFIG = {
    "heads": "num_attention_heads",
    "token_dropout": "token_dropout",
    "eps": "layer_norm_eps",
    "positions": "position_embedding_type",
    "pad": "pad_token_id",
    "activation": "hidden_act",
    "is_decoder": "is_decoder",
    "is_folding_model": "is_folding_model",
}

UNUSED = "position embeddings that a rotary model does not use"
NAMES = esm_names.Names(
    table="esm.embeddings.word_embeddings.weight",
    positions="esm.embeddings.position_embeddings.weight",
    decoder="lm_head.decoder.weight",
    bias="lm_head.bias",
    blocks="esm.encoder.layer.{i}",
    qkv=("attention.self.query", "attention.self.key", "attention.self.value"),
    block={
        "attention.output.dense": "attn.proj",
        "attention.LayerNorm": "norm1",
        "intermediate.dense": "mlp.fc1",
        "output.dense": "mlp.fc2",
        "LayerNorm": "norm2",
    },
    plain={
        "esm.embeddings.layer_norm": "encoder.embed_norm",
        "esm.encoder.emb_layer_norm_after": "encoder.norm",
        "lm_head.dense": f"{HEAD}.dense",
        "lm_head.layer_norm": f"{HEAD}.norm",
    },
    contact="esm.contact_head.regression",
    frequencies=("esm.rotary_embeddings.inv_freq", "esm.encoder.layer.{i}.attention.self.rotary_embeddings.inv_freq"),
    weight="weight|gamma",  # files that version 5 writes name the norms of blocks so, and put a * for the block's number
    shift="bias|beta",
    more=(
        Rule(r"esm\.embeddings\.position_ids", unneeded="a constant index"),
        Rule(r"lm_head\.decoder\.bias", unneeded="the bias of the head under its second name"),
        Rule(r"esm\.pooler\..*", unneeded="a pooler that masked language modelling does not use"),
    ),
)


def matches(weights: Weights) -> bool:
    return NAMES.table in weights and "esm.encoder.emb_layer_norm_after.weight" in weights


def ids(weights: Weights) -> int:
    """Rows of the embedding."""
    return len(weights[NAMES.table])


def recipe(weights: Weights, settings: Tree) -> Tree:
    refuse(settings, ACCEPTED, NAME)
    return esm_names.recipe(NAMES, weights, settings)


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    out = esm_names.rules(NAMES, Rule(NAMES.pattern(NAMES.table), "encoder.embed.weight"))
    if recipe(weights, settings)["encoder"]["transformer"]["positions"] == "rotary":
        out.insert(0, Rule(NAMES.pattern(NAMES.positions), unneeded=UNUSED))
    return out


def untrained(weights: Weights) -> dict[str, str]:
    return esm_names.untrained(NAMES, weights)


def written(state: Mapping[str, Tensor], extras: Mapping[str, Tensor], version: int = 5) -> dict[str, Tensor]:
    """Our weights as the state dict of ``EsmForMaskedLM`` of this version of transformers."""
    return esm_names.written(NAMES, state, extras, each_frequency=version < 5)
