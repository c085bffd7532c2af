"""MolFormer as ibm/MoLFormer-XL keeps it for transformers, and as the training code of IBM/molformer does."""

from __future__ import annotations

import re
from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe.layering import chosen
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import HEAD
from maskedmod.zoo.settings import TOKENS
from maskedmod.zoo.writers.sequence.bert import BLOCK, QKV, USUAL
from maskedmod.zoo.writing import Qkv, Writer, Written, refuse, unusual

BLOCKS = r"encoder\.blocks\.(\d+)"
OFFICIAL_QKV: Qkv = ("attention.query_projection", "attention.key_projection", "attention.value_projection")
OFFICIAL = {
    "attn.proj": "attention.out_projection", "norm1": "norm1", "mlp.fc1": "linear1", "mlp.fc2": "linear2", "norm2": "norm2",
}  # fmt: skip
REMOTE = "ibm-research/MoLFormer-XL-both-10pct--modeling_molformer"


def molformer(loaded: Loaded, version: int) -> Written:
    """``MolformerForMaskedLM``, whose code is on the hub; with the vocabulary as its tokenizer reads it and as ours does."""
    out, arguments = _begun(loaded)
    out.leave("encoder.positions.inv_freq")
    out.one("encoder.embed.weight", "molformer.embeddings.word_embeddings.weight")
    at = "molformer.encoder.layer"
    out.each(rf"{BLOCKS}\.attn\.kernel\.omega", rf"{at}.\1.attention.self.feature_map.weight")
    out.stack("encoder.blocks", f"{at}.{{i}}", BLOCK, QKV)
    out.linear("encoder.norm", "molformer.LayerNorm")
    out.linear(f"{HEAD}.dense", "lm_head.transform.dense")
    out.linear(f"{HEAD}.norm", "lm_head.transform.LayerNorm")
    out.one(f"{HEAD}.decoder.weight", "lm_head.decoder.weight")
    out.again("molformer.embeddings.position_ids")
    encoder: Any = loaded.model.encoder
    modality: Any = loaded.modality
    letters: tuple[str, ...] = modality.letters.tokens
    config = {
        "architectures": ["MolformerForMaskedLM"], "model_type": "molformer", "vocab_size": len(letters),
        "hidden_size": encoder.width, "num_hidden_layers": len(encoder.blocks), "num_attention_heads": encoder.heads,
        "intermediate_size": encoder.blocks[0].mlp.fc1.out_features, "num_random_features": arguments["random_features"],
        "hidden_act": arguments.get("activation", "gelu"), "layer_norm_eps": float(arguments.get("eps", 1e-6)),
        "tie_word_embeddings": False,
        "auto_map": {"AutoModelForMaskedLM": f"{REMOTE}.MolformerForMaskedLM", "AutoModel": f"{REMOTE}.MolformerModel"},
    }  # fmt: skip
    ids = {token: number for number, token in enumerate(letters)}
    return Written(out.done(), "hf", config, {"vocab.json": ids, TOKENS: "\n".join(letters) + "\n"})


def ibm_molformer(loaded: Loaded, version: int) -> Written:
    """``state_dict`` of the training code."""
    out, arguments = _begun(loaded)
    at = "state_dict.blocks.layers"
    table = out.left.pop("encoder.positions.inv_freq")
    for key in list(out.left):
        if found := re.fullmatch(rf"{BLOCKS}\.attn\.kernel\.omega", key):
            out.out[f"{at}.{found[1]}.attention.rotaryemb.inv_freq"] = table
            out.one(key, f"{at}.{found[1]}.attention.inner_attention.feature_map.omega")
    out.stack("encoder.blocks", f"{at}.{{i}}", OFFICIAL, OFFICIAL_QKV)
    out.one("encoder.embed.weight", "state_dict.tok_emb.weight")
    out.linear("encoder.norm", "state_dict.blocks.norm")
    out.linear(f"{HEAD}.dense", "state_dict.lang_model.embed")
    out.linear(f"{HEAD}.norm", "state_dict.lang_model.ln_f")
    out.one(f"{HEAD}.decoder.weight", "state_dict.lang_model.head.weight")
    modality: Any = loaded.modality
    settings: dict[str, Any] = {"eps": float(arguments.get("eps", 1e-6)), "activation": arguments.get("activation", "gelu")}
    return Written(out.done(), "pth", settings, {TOKENS: "\n".join(modality.letters.tokens) + "\n"}, nested=True)


def _begun(loaded: Loaded) -> tuple[Writer, dict[str, Any]]:
    tree = loaded.tree
    arguments = tree.get("encoder", {}).get("transformer")
    if chosen(tree.get("modality")) != "molecule" or arguments is None or not arguments.get("random_features"):
        raise UserError("layout molformer is for SMILES with encoder=transformer and random_features")
    own = {
        **USUAL,
        "positions": "rotary",
        "embed_norm": False,
        "final_norm": True,
        "random_features": arguments["random_features"],
    }
    refuse("layout molformer", unusual(arguments, own))
    refuse(
        "layout molformer", unusual(tree["head"].get("lm") or {"tied": True}, {"tied": False, "bias": False, "transform": True})
    )
    out = Writer(dict(loaded.model.state_dict()), loaded.kept)
    out.leave("teacher.")
    return out, arguments
