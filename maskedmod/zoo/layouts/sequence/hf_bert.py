"""``BertForMaskedLM``, ``BertForPreTraining``, ``BertModel``, ``RobertaForMaskedLM``, ``RobertaModel`` of transformers 4 and 5.

One text at a time: the vector of its segment is added to the positions once and for all.
"""

from __future__ import annotations

import re
from typing import Any

import torch

from maskedmod.errors import UserError
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.layouts.sequence import parts as sequence_parts
from maskedmod.zoo.layouts.sequence.parts import TIED
from maskedmod.zoo.mapping import HEAD, Rule

NAME = "hf_bert"
SETTINGS: dict[str, Any] = {
    "tokenizer": None,
    "modality": "text",
    "model_type": None,
    "heads": None,
    "eps": None,
    "activation": "gelu",
}
CONFIG = {
    "model_type": "model_type",
    "heads": "num_attention_heads",
    "eps": "layer_norm_eps",
    "activation": "hidden_act",
}

AT = r"(?:bert\.|roberta\.)?"
WORDS = rf"{AT}embeddings\.word_embeddings\.weight"
PLACES = rf"{AT}embeddings\.position_embeddings\.weight"
SEGMENTS = rf"{AT}embeddings\.token_type_embeddings\.weight"
FC1 = rf"{AT}encoder\.layer\.(\d+)\.intermediate\.dense\.weight"
DENSE = {r"cls\.predictions\.transform\.dense": "dense", r"lm_head\.dense": "dense"}
NORM = {r"cls\.predictions\.transform\.LayerNorm": "norm", r"lm_head\.layer_norm": "norm"}
BIAS = r"(?:cls\.predictions|lm_head)\.bias"
DECODER = r"(?:cls\.predictions|lm_head)\.decoder"


def matches(weights: Weights) -> bool:
    return parts.has(weights, SEGMENTS) and parts.has(weights, rf"{AT}embeddings\.LayerNorm\..*") and parts.has(weights, FC1)


def recipe(weights: Weights, settings: Tree) -> Tree:
    places, words = parts.tensor(weights, PLACES), parts.tensor(weights, WORDS)
    roberta = _roberta(weights, settings)
    longest = len(places) - (2 if roberta else 0)
    eps = settings["eps"] if settings["eps"] is not None else 1e-5 if roberta else 1e-12
    encoder = sequence_parts.encoder(weights, WORDS, FC1, {**settings, "eps": eps})
    encoder |= {"positions": "learned", "max_length": longest, "position_offset": len(places) - longest, "embed_norm": True}
    letters: Tree = {"tokenizer": settings["tokenizer"], "max_length": longest}
    if settings["modality"] == "text":
        letters["vocab_size"] = len(words)
    elif settings["modality"] != "molecule":
        raise UserError(f"modality={settings['modality']!r}: accepted are text, molecule")
    return sequence_parts.tree({settings["modality"]: letters}, encoder, {"eps": eps, "tied": _tied(weights)})


def _roberta(weights: Weights, settings: Tree) -> bool:
    """RoBERTa's positions begin after those of padding."""
    return settings["model_type"] == "roberta" or any(key.startswith(("roberta.", "lm_head.")) for key in weights)


def _tied(weights: Weights) -> bool:
    """Whether the last map of the head is the embedding table, as in nearly every file."""
    found = next((tensor for key, tensor in weights.items() if re.fullmatch(rf"{DECODER}\.weight", key)), None)
    return found is None or torch.equal(found, parts.tensor(weights, WORDS))


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    out = [
        Rule(WORDS, "encoder.embed.weight"),
        Rule(PLACES, "encoder.positions.table", sequence_parts.with_segment(weights, SEGMENTS), altered="plus the first segment"),
        Rule(SEGMENTS, unneeded="the first row is added to the positions; a single text has no other segment"),
        *sequence_parts.norm_rules(rf"{AT}embeddings\.LayerNorm", "encoder.embed_norm"),
        *sequence_parts.post_norm_rules(rf"{AT}encoder\.layer"),
        Rule(BIAS, f"{HEAD}.bias"),
        Rule(rf"{DECODER}\.weight", unneeded=TIED) if _tied(weights) else Rule(rf"{DECODER}\.weight", f"{HEAD}.decoder.weight"),
        Rule(rf"{DECODER}\.bias", unneeded="the bias of the head under its second name"),
        Rule(rf"{AT}embeddings\.(?:position_ids|token_type_ids)", unneeded="a constant index"),
        Rule(rf"{AT}pooler\..*", unneeded="a pooler that masked language modelling does not use"),
        Rule(r"cls\.seq_relationship\..*", unneeded="the next-sentence head, for pairs of texts"),
    ]
    for theirs, ours in {**DENSE, **NORM}.items():
        out += sequence_parts.norm_rules(theirs, f"{HEAD}.{ours}")
    return out


def untrained(weights: Weights) -> dict[str, str]:
    if any(re.fullmatch(BIAS, key) for key in weights):
        return {}
    return {f"{HEAD}.": parts.NO_HEAD}
