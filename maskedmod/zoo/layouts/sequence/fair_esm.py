"""ESM-2, ESM-1b and ESM-1v as facebookresearch/esm saves them (``.pt``), with the contact regression of the file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.layouts.sequence import esm_names, letters
from maskedmod.zoo.mapping import HEAD, Rule

NAME = "fair_esm"
SETTINGS: dict[str, Any] = {**letters.SETTINGS, "heads": None, "token_dropout": True, "eps": 1e-5, "pad": 1}
CONFIG = {"heads": "encoder_attention_heads", "token_dropout": "token_dropout"}

MASK = 32
NAMES = esm_names.Names(
    prefix=r"(?:encoder\.)?(?:sentence_encoder\.)?",
    table="embed_tokens.weight",
    positions="embed_positions.weight",
    decoder="lm_head.weight",
    bias="lm_head.bias",
    blocks="layers.{i}",
    qkv=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    block={
        "self_attn.out_proj": "attn.proj",
        "self_attn_layer_norm": "norm1",
        "fc1": "mlp.fc1",
        "fc2": "mlp.fc2",
        "final_layer_norm": "norm2",
    },
    plain={
        "emb_layer_norm_before": "encoder.embed_norm",
        "emb_layer_norm_after": "encoder.norm",
        "lm_head.dense": f"{HEAD}.dense",
        "lm_head.layer_norm": f"{HEAD}.norm",
    },
    contact="contact_head.regression",
    frequencies=("layers.{i}.self_attn.rot_emb.inv_freq",),
    more=(Rule(r".*\bversion", unneeded="a version number"),),
)


def matches(weights: Weights) -> bool:
    query = NAMES.prefix + r"layers\.0\.self_attn\.q_proj\.weight"
    return parts.has(weights, NAMES.pattern(NAMES.table)) and parts.has(weights, query)


def ids(weights: Weights) -> int:
    """Rows of the embedding."""
    return len(parts.tensor(weights, NAMES.pattern(NAMES.table)))


def recipe(weights: Weights, settings: Tree) -> Tree:
    return esm_names.recipe(NAMES, weights, settings)


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    table = Rule(NAMES.pattern(NAMES.table), "encoder.embed.weight")
    learned = parts.has(weights, NAMES.pattern(NAMES.positions))
    if learned and settings["token_dropout"]:
        why = "the row of the mask token is set to zero, as the published code does when it reads this file"
        mask = letters.mask_of(settings, ids(weights), MASK)
        table = Rule(table.pattern, table.to, lambda x: without_row(x, mask), altered=why)
    return esm_names.rules(NAMES, table)


def without_row(table: Tensor, row: int) -> Tensor:
    """The embedding with a zero row for the mask token."""
    out = table.clone()
    out[row] = 0.0
    return out


def untrained(weights: Weights) -> dict[str, str]:
    return esm_names.untrained(NAMES, weights)


def written(state: Mapping[str, Tensor], extras: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our weights as the state dict of ``esm.ESM2`` or ``esm.ProteinBertModel``."""
    return esm_names.written(NAMES, state, extras, each_frequency=True)
