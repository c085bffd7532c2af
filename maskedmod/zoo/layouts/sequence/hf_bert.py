"""``BertForMaskedLM``, ``BertForPreTraining``, ``BertModel``, ``RobertaForMaskedLM``, ``RobertaModel`` of transformers 4 and
5, with any vocabulary; TAPE's ``ProteinBertForMaskedLM``, whose names are nearly these.

One text at a time: the vector of its segment is added to the positions once and for all.
"""

from __future__ import annotations

import re
from typing import Any

import torch

from maskedmod.errors import UserError
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.layouts.sequence import letters
from maskedmod.zoo.layouts.sequence import parts as sequence_parts
from maskedmod.zoo.layouts.sequence.parts import TIED
from maskedmod.zoo.mapping import HEAD, Rule

NAME = "hf_bert"
SETTINGS: dict[str, Any] = {
    **letters.SETTINGS,
    "tokenizer": None,
    "model_type": None,
    "heads": None,
    "eps": None,
    "activation": "gelu",
    "pad": None,
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "pruned_heads": None,
}
CONFIG = {
    "model_type": "model_type",
    "heads": "num_attention_heads",
    "eps": "layer_norm_eps",
    "activation": "hidden_act",
    "pad": "pad_token_id",
    "position_embedding_type": "position_embedding_type",
    "is_decoder": "is_decoder",
    "pruned_heads": "pruned_heads",
}
ACCEPTED: dict[str, tuple[Any, ...]] = {
    "position_embedding_type": ("absolute", None), "is_decoder": (False, None), "pruned_heads": (None, {}),
}  # fmt: skip
"""Options of the published code of which one value is built here."""

ROBERTAS = ("roberta", "xlm-roberta", "camembert")
AT = r"(?:bert\.|roberta\.)?"
WORDS = rf"{AT}embeddings\.word_embeddings\.weight"
PLACES = rf"{AT}embeddings\.position_embeddings\.weight"
SEGMENTS = rf"{AT}embeddings\.token_type_embeddings\.weight"
FC1 = rf"{AT}encoder\.layer\.(\d+)\.intermediate\.dense\.weight"
DENSE = {r"(?:cls\.predictions|mlm)\.transform\.dense": "dense", r"lm_head\.dense": "dense"}
NORM = {r"(?:cls\.predictions|mlm)\.transform\.LayerNorm": "norm", r"lm_head\.layer_norm": "norm"}
BIAS = r"(?:cls\.predictions|mlm|lm_head)\.bias"
DECODER = r"(?:cls\.predictions|mlm|lm_head)\.decoder"


def matches(weights: Weights) -> bool:
    return parts.has(weights, SEGMENTS) and parts.has(weights, rf"{AT}embeddings\.LayerNorm\..*") and parts.has(weights, FC1)


def ids(weights: Weights) -> int:
    """Rows of the embedding."""
    return len(parts.tensor(weights, WORDS))


def recipe(weights: Weights, settings: Tree) -> Tree:
    sequence_parts.refuse(settings, ACCEPTED, NAME)
    if not parts.has(weights, PLACES):
        raise UserError("no position_embeddings: positions other than absolute ones are not read")
    places, words = parts.tensor(weights, PLACES), parts.tensor(weights, WORDS)
    roberta = _roberta(weights, settings)
    offset = 1 + (1 if settings["pad"] is None else settings["pad"]) if roberta else 0
    longest = len(places) - offset
    eps = settings["eps"] if settings["eps"] is not None else 1e-5 if roberta else 1e-12
    activation = sequence_parts.activation(settings["activation"])
    encoder = sequence_parts.encoder(weights, WORDS, FC1, {**settings, "eps": eps, "activation": activation})
    encoder |= {"positions": "learned", "max_length": longest, "position_offset": offset, "embed_norm": True}
    known = letters.NAMED.get(len(words)) if parts.has(weights, r"mlm\..*") else None
    head: Tree = {"eps": eps, "tied": _tied(weights)}
    if not roberta and activation != "gelu":  # RoBERTa's own head has gelu, whatever the encoder has
        head["activation"] = activation
    return sequence_parts.tree(letters.slot(settings, len(words), longest, "text", known), encoder, head)


def _roberta(weights: Weights, settings: Tree) -> bool:
    """RoBERTa's positions begin after those of padding."""
    return settings["model_type"] in ROBERTAS or any(key.startswith(("roberta.", "lm_head.")) for key in weights)


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
        Rule(r"cls\.(?!predictions\.).*|classifier\..*|qa_outputs\..*", unneeded="a head for another task"),
    ]
    for theirs, ours in {**DENSE, **NORM}.items():
        out += sequence_parts.norm_rules(theirs, f"{HEAD}.{ours}")
    return out


def untrained(weights: Weights) -> dict[str, str]:
    if any(re.fullmatch(BIAS, key) for key in weights):
        return {}
    return {f"{HEAD}.": parts.NO_HEAD}
