"""BERT and RoBERTa as transformers keeps them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.recipe.layering import chosen
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import HEAD
from maskedmod.zoo.writing import Qkv, Writer, Written, refuse, same, unusual

BLOCK = {
    "attn.proj": "attention.output.dense", "norm1": "attention.output.LayerNorm", "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense", "norm2": "output.LayerNorm",
}  # fmt: skip
QKV: Qkv = ("attention.self.query", "attention.self.key", "attention.self.value")
USUAL: dict[str, Any] = {
    "norm": "layer", "norm_place": "post", "qk_norm": False, "qkv_bias": "all", "layer_scale": None, "random_features": None,
    "causal": False, "classes": 0, "registers": 0, "token_dropout": None, "positions": "learned", "embed_norm": True,
    "final_norm": (None, False), "sees": "corrupt",
}  # fmt: skip
ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu"}


def hf_bert(loaded: Loaded, version: int) -> Written:
    """``BertForMaskedLM`` or, where two rows of positions are not used, ``RobertaForMaskedLM``; a file that came with pooler and
    next-sentence head gets them back."""
    arguments = loaded.tree.get("encoder", {}).get("transformer")
    if arguments is None or not hasattr(loaded.model.encoder, "embed_norm") or chosen(loaded.tree.get("head")) != "lm":
        raise UserError("layout hf_bert is for transformers of ids with head=lm")
    refuse("layout hf_bert", unusual(arguments, USUAL))
    roberta = arguments.get("position_offset", 0) > 0
    out = Writer(dict(loaded.model.state_dict()), loaded.kept)
    at = "roberta" if roberta else "bert"
    out.leave("teacher.")
    _embeddings(out, f"{at}.embeddings")
    out.stack("encoder.blocks", f"{at}.encoder.layer.{{i}}", BLOCK, QKV)
    head = "lm_head" if roberta else "cls.predictions"
    dense, norm = ("dense", "layer_norm") if roberta else ("transform.dense", "transform.LayerNorm")
    out.linear(f"{HEAD}.dense", f"{head}.{dense}")
    out.linear(f"{HEAD}.norm", f"{head}.{norm}")
    out.one(f"{HEAD}.bias", f"{head}.bias")
    tied = f"{HEAD}.decoder.weight" not in out.left
    table = out.out[f"{at}.embeddings.word_embeddings.weight"]
    out.one(f"{HEAD}.decoder.weight", f"{head}.decoder.weight")
    out.out.setdefault(f"{head}.decoder.weight", table)
    out.out[f"{head}.decoder.bias"] = out.out[f"{head}.bias"]
    out.again(*(f"{at}.pooler.dense.{end}" for end in ("weight", "bias")))
    out.again(*(f"cls.seq_relationship.{end}" for end in ("weight", "bias")))
    return Written(out.done(), "hf", _config(loaded, out, at, tied), _tokenizer(loaded))


def _embeddings(out: Writer, at: str) -> None:
    """Ids, positions and segments. Positions that had the first segment added are taken apart again while nothing was trained;
    else the first segment is zero."""
    out.one("encoder.embed.weight", f"{at}.word_embeddings.weight")
    out.linear("encoder.embed_norm", f"{at}.LayerNorm")
    places = out.left.pop("encoder.positions.table")
    kept = out.original("embeddings.position_embeddings.weight")
    segments = out.original("embeddings.token_type_embeddings.weight")
    if kept is not None and segments is not None and same(kept + segments[0].to(kept.dtype), places):
        out.out[f"{at}.position_embeddings.weight"], out.out[f"{at}.token_type_embeddings.weight"] = kept, segments
        return
    out.out[f"{at}.position_embeddings.weight"] = places
    rows = (1 if at == "roberta.embeddings" else 2) if segments is None else len(segments)
    out.out[f"{at}.token_type_embeddings.weight"] = torch.zeros(rows, places.shape[1])


def _config(loaded: Loaded, out: Writer, at: str, tied: bool) -> dict[str, Any]:
    encoder: Any = loaded.model.encoder
    arguments = loaded.tree["encoder"]["transformer"]
    sizes: dict[str, Tensor] = out.out
    words = sizes[f"{at}.embeddings.word_embeddings.weight"]
    both = "cls.seq_relationship.weight" in sizes
    letters = loaded.model.modality.alphabet or getattr(loaded.model.modality, "letters", None)
    pad, offset = None if letters is None else letters.pad, arguments.get("position_offset", 0)
    return {
        "architectures": ["RobertaForMaskedLM" if at == "roberta" else "BertForPreTraining" if both else "BertForMaskedLM"],
        "model_type": at,
        "vocab_size": len(words),
        "hidden_size": words.shape[1],
        "num_hidden_layers": len(encoder.blocks),
        "num_attention_heads": encoder.heads,
        "intermediate_size": encoder.blocks[0].mlp.fc1.out_features,
        "hidden_act": ACTIVATIONS[arguments.get("activation", "gelu")],
        "layer_norm_eps": float(arguments.get("eps", 1e-6)),
        "max_position_embeddings": len(sizes[f"{at}.embeddings.position_embeddings.weight"]),
        "type_vocab_size": len(sizes[f"{at}.embeddings.token_type_embeddings.weight"]),
        "pad_token_id": offset - 1 if at == "roberta" else pad if pad is not None else 0,
        "tie_word_embeddings": tied,
    }


def listed(loaded: Loaded) -> dict[str, Any]:
    """``vocab.txt`` of a model whose tokens are letters or atoms."""
    letters = loaded.model.modality.alphabet
    return {} if letters is None else {"vocab.txt": "\n".join(letters.tokens) + "\n"}


def _tokenizer(loaded: Loaded) -> dict[str, Any]:
    """``tokenizer.json``, where the model has a tokenizer of that library, else its vocabulary, a token a line."""
    try:
        text = loaded.model.modality.subword.text  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        return listed(loaded)
    return {"tokenizer.json": text, "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}}
