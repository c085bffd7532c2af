"""RoBERTa as fairseq saves it, of any year and any vocabulary (``dict.txt``): of text, of residues (Sapiens), of codes.

Liu et al. 2019; names of facebookresearch/fairseq, ``fairseq/models/roberta/model.py``.
"""

from __future__ import annotations

import re
from typing import Any

import torch

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.layouts.sequence import letters
from maskedmod.zoo.layouts.sequence import parts as sequence_parts
from maskedmod.zoo.layouts.sequence.parts import TIED
from maskedmod.zoo.mapping import HEAD, Rule

NAME = "fairseq_roberta"
SETTINGS: dict[str, Any] = {
    **letters.SETTINGS,
    "heads": 12,
    "activation": "gelu",
    "eps": 1e-5,
    "pad": 1,
    "mask_prob": 0.15,
    "leave_unmasked_prob": 0.1,
    "random_token_prob": 0.1,
    "no_scale_embedding": True,
    "adaptive_input": False,
}
CONFIG = {"heads": "encoder_attention_heads", "activation": "activation_fn"}
ACCEPTED: dict[str, tuple[Any, ...]] = {"no_scale_embedding": (True, None), "adaptive_input": (False, None)}
"""Options of the published code of which one value is built here."""

AT = r"(?:(?:encoder|decoder)\.)?sentence_encoder\."
TOP = r"(?:(?:encoder|decoder)\.)?lm_head\."
WORDS, PLACES = rf"{AT}embed_tokens\.weight", rf"{AT}embed_positions\.weight"
FC1 = rf"{AT}layers\.(\d+)\.fc1\.weight"
EMBED_NORM = rf"{AT}(?:emb_layer_norm|layernorm_embedding)"
LAST_NORM = rf"{AT}layer_norm"
BLOCK = {
    r"self_attn\.out_proj": "attn.proj",
    "self_attn_layer_norm": "norm1",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
    "final_layer_norm": "norm2",
}


def matches(weights: Weights) -> bool:
    """ESM has nearly these keys, and always a norm ``emb_layer_norm_after``."""
    return parts.has(weights, WORDS) and parts.has(weights, FC1) and not parts.has(weights, rf"{AT}emb_layer_norm_after\..*")


def ids(weights: Weights) -> int:
    """Rows of the embedding."""
    return len(parts.tensor(weights, WORDS))


def recipe(weights: Weights, settings: Tree) -> Tree:
    sequence_parts.refuse(settings, ACCEPTED, NAME)
    words = parts.tensor(weights, WORDS)
    activation = sequence_parts.activation(settings["activation"])
    encoder = sequence_parts.encoder(weights, WORDS, FC1, {**settings, "activation": activation})
    last = parts.has(weights, rf"{LAST_NORM}\.weight")
    encoder |= {"norm_place": "pre" if last else "post", "embed_norm": parts.has(weights, rf"{EMBED_NORM}\.weight")}
    longest = None
    if parts.has(weights, PLACES):
        longest = len(parts.tensor(weights, PLACES)) - settings["pad"] - 1
        encoder |= {"positions": "learned", "max_length": longest, "position_offset": settings["pad"] + 1}
    else:
        encoder["positions"] = "none"
    head: Tree = {"eps": settings["eps"], "tied": _tied(weights)}
    if activation != "gelu":
        head["activation"] = activation
    out = sequence_parts.tree(letters.slot(settings, len(words), longest), encoder, head)
    left, drawn = settings["leave_unmasked_prob"], settings["random_token_prob"]
    shares = {"mask": 1 - left - drawn, "random": drawn, "keep": left, "draw": [4, len(words) - 1]}
    out["mask"] = {"random": {"ratio": settings["mask_prob"], "count": "mask_chance", "specials": True, "corrupt": shares}}
    return out


def _tied(weights: Weights) -> bool:
    """Whether the last map of the head is the embedding table."""
    found = next((tensor for key, tensor in weights.items() if re.fullmatch(rf"{TOP}weight", key)), None)
    return found is None or torch.equal(found, parts.tensor(weights, WORDS))


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    out = [
        Rule(WORDS, "encoder.embed.weight"),
        Rule(PLACES, "encoder.positions.table"),
        *sequence_parts.norm_rules(EMBED_NORM, "encoder.embed_norm"),
        *sequence_parts.norm_rules(LAST_NORM, "encoder.norm"),
        *sequence_parts.norm_rules(rf"{TOP}dense", f"{HEAD}.dense"),
        *sequence_parts.norm_rules(rf"{TOP}layer_norm", f"{HEAD}.norm"),
        Rule(rf"{TOP}bias", f"{HEAD}.bias"),
        Rule(rf"{TOP}weight", unneeded=TIED) if _tied(weights) else Rule(rf"{TOP}weight", f"{HEAD}.decoder.weight"),
        Rule(rf"{AT}layers\.(\d+)\.self_attn\.in_proj_(weight|bias)", r"encoder.blocks.\1.attn.qkv.\2"),
        Rule(r".*\bversion", unneeded="a version number"),
        Rule(r"classification_heads\..*|(?:.*\.)?pooler\..*", unneeded="a head for another task"),
    ]
    for part, name in enumerate("qkv"):
        for end in ("weight", "bias"):
            theirs = rf"{AT}layers\.(\d+)\.self_attn\.{name}_proj\.{end}"
            out.append(Rule(theirs, rf"encoder.blocks.\1.attn.qkv.{end}", part=part))
    for name, to in BLOCK.items():
        out += sequence_parts.norm_rules(rf"{AT}layers\.(\d+)\.{name}", rf"encoder.blocks.\1.{to}")
    return out


def untrained(weights: Weights) -> dict[str, str]:
    return {} if parts.has(weights, rf"{TOP}bias") else {f"{HEAD}.": parts.NO_HEAD}
