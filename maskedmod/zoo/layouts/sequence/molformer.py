"""MolFormer: ``MolformerForMaskedLM`` and ``MolformerModel`` of ibm/MoLFormer-XL, and the training code of IBM/molformer."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.layouts.sequence import letters
from maskedmod.zoo.layouts.sequence import parts as sequence_parts
from maskedmod.zoo.mapping import HEAD, Rule

NAME = "molformer"
SETTINGS: dict[str, Any] = {
    **letters.SETTINGS,
    "tokenizer": None,
    "vocab": None,
    "eps": None,
    "activation": "gelu",
    "feature_map_kernel": "relu",
}
ACCEPTED: dict[str, tuple[Any, ...]] = {"feature_map_kernel": ("relu", None)}
"""Options of the published code of which one value is built here."""
CONFIG = {"eps": "layer_norm_eps", "activation": "hidden_act", "feature_map_kernel": "feature_map_kernel"}

HF = r"(?:molformer\.)?"
LAYER = rf"{HF}encoder\.layer"
WORDS = rf"(?:tok_emb|{HF}embeddings\.word_embeddings)\.weight"
FC1 = rf"(?:{LAYER}|blocks\.layers)\.(\d+)\.(?:intermediate\.dense|linear1)\.weight"
OFFICIAL = r"blocks\.layers\.(\d+)"
OMEGA = rf"(?:{LAYER}|blocks\.layers)\.(\d+)\.attention\.(?:self\.feature_map\.weight|inner_attention\.feature_map\.omega)"
DECODER = r"(?:lm_head\.decoder|lang_model\.head)\.weight"
BLOCK = {
    r"attention\.out_projection": "attn.proj",
    "linear1": "mlp.fc1",
    "linear2": "mlp.fc2",
    "norm1": "norm1",
    "norm2": "norm2",
}
PLAIN = {
    r"blocks\.norm": "encoder.norm",
    rf"{HF}LayerNorm": "encoder.norm",
    r"lang_model\.embed": f"{HEAD}.dense",
    r"lang_model\.ln_f": f"{HEAD}.norm",
    r"lm_head\.transform\.dense": f"{HEAD}.dense",
    r"lm_head\.transform\.LayerNorm": f"{HEAD}.norm",
}


def matches(weights: Weights) -> bool:
    return parts.has(weights, OMEGA) and parts.has(weights, WORDS)


def ids(weights: Weights) -> int:
    """Rows of the embedding."""
    return len(parts.tensor(weights, WORDS))


def recipe(weights: Weights, settings: Tree) -> Tree:
    sequence_parts.refuse(settings, ACCEPTED, NAME)
    head_width, features = parts.tensor(weights, OMEGA).shape
    width = parts.tensor(weights, WORDS).shape[1]
    official = "tok_emb.weight" in weights
    eps = settings["eps"] if settings["eps"] is not None else 1e-5 if official else 1e-12
    values = {
        **settings,
        "eps": eps,
        "heads": width // head_width,
        "activation": sequence_parts.activation(settings["activation"]),
    }
    encoder = sequence_parts.encoder(weights, WORDS, FC1, values)
    encoder |= {"positions": "rotary", "random_features": features, "final_norm": True}
    slot = letters.slot(settings, ids(weights), None, "molecule")
    return sequence_parts.tree(slot, encoder, {"tied": False, "bias": False, "eps": eps})


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    out = [
        Rule(WORDS, "encoder.embed.weight"),
        Rule(OMEGA, r"encoder.blocks.\1.attn.kernel.omega"),
        Rule(DECODER, f"{HEAD}.decoder.weight"),
        Rule(rf"{OFFICIAL}\.attention\.rotaryemb\.inv_freq", "encoder.positions.inv_freq"),
        Rule(rf"{LAYER}\.(\d+)\.attention\.self\.rotary_embeddings\.inv_freq", "encoder.positions.inv_freq"),
        Rule(r".*\.(?:cos|sin)_cached", unneeded="a table that is computed"),
        Rule(rf"{HF}embeddings\.position_ids", unneeded="a constant index"),
        *sequence_parts.post_norm_rules(LAYER),
    ]
    for part, name in enumerate(("query", "key", "value")):
        for end in ("weight", "bias"):
            theirs = rf"{OFFICIAL}\.attention\.{name}_projection\.{end}"
            out.append(Rule(theirs, rf"encoder.blocks.\1.attn.qkv.{end}", part=part))
    for name, to in BLOCK.items():
        out += sequence_parts.norm_rules(rf"{OFFICIAL}\.{name}", rf"encoder.blocks.\1.{to}")
    for name, to in PLAIN.items():
        out += sequence_parts.norm_rules(name, to)
    return out


def untrained(weights: Weights) -> dict[str, str]:
    out = {}
    if not parts.has(weights, r".*\.inv_freq"):
        out["encoder.positions.inv_freq"] = "the file has no rotary frequencies, they are computed"
    if not parts.has(weights, DECODER):
        out[f"{HEAD}."] = parts.NO_HEAD
    return out
