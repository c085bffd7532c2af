"""What the layouts of BERT's relatives share: post-norm blocks in the way of transformers, and their recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from maskedmod.errors import UserError, unknown
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import Change, Rule

TIED = "the embedding table, which the head shares"
WEIGHT, BIAS = "(?:weight|gamma)", "(?:bias|beta)"
"""Norms of early files have other names."""


def norm_rules(at: str, to: str) -> list[Rule]:
    """A norm or linear map, under either name of its tensors; ``at`` may have a group that ``to`` uses."""
    return [Rule(rf"{at}\.{WEIGHT}", rf"{to}.weight"), Rule(rf"{at}\.{BIAS}", rf"{to}.bias")]


def post_norm_rules(at: str, to: str = "encoder.blocks") -> list[Rule]:
    """Blocks of BERT in transformers: q, k and v apart, a norm after each half."""
    rules = []
    for part, name in enumerate(("query", "key", "value")):
        for end in ("weight", "bias"):
            rules.append(Rule(rf"{at}\.(\d+)\.attention\.self\.{name}\.{end}", rf"{to}.\1.attn.qkv.{end}", part=part))
    names = {
        r"attention\.output\.dense": "attn.proj",
        r"attention\.output\.LayerNorm": "norm1",
        r"intermediate\.dense": "mlp.fc1",
        r"output\.dense": "mlp.fc2",
        r"output\.LayerNorm": "norm2",
    }
    for theirs, ours in names.items():
        rules += norm_rules(rf"{at}\.(\d+)\.{theirs}", rf"{to}.\1.{ours}")
    return rules


ACTIVATIONS = {
    "gelu": "gelu", "gelu_python": "gelu", "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh", "gelu_accurate": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh", "gelu_tanh": "gelu_tanh", "quick_gelu": "quick_gelu", "relu": "relu",
}  # fmt: skip
"""What published code calls activations -> what they are called here."""


def activation(name: Any) -> str:
    """Our name of an activation. UserError for one that is not built."""
    if name not in ACTIVATIONS:
        raise unknown("activation", str(name), ACTIVATIONS)
    return ACTIVATIONS[name]


def refuse(settings: Tree, accepted: Mapping[str, tuple[Any, ...]], layout: str) -> None:
    """UserError that names an option whose value changes the arithmetic to what is not built here."""
    for name, values in accepted.items():
        if settings[name] not in values:
            usual = " or ".join(str(value) for value in values if value is not None)
            raise UserError(f"{name}={settings[name]} is not read by layout {layout}, which has {usual or 'none'}")


def with_segment(weights: Weights, key: str) -> Change:
    """Adds the vector of the first segment, the only one of a single text, to every row."""
    segment = parts.tensor(weights, key)[0]

    def change(table: Tensor) -> Tensor:
        return table + segment.to(table.dtype)

    return change


def encoder(weights: Weights, table: str, blocks: str, settings: Tree) -> Tree:
    """Arguments of the encoder that tensors tell; ``blocks``: pattern of the first map of the MLP, a group for the number."""
    width = parts.tensor(weights, table).shape[1]
    return {
        "depth": parts.depth(weights, blocks),
        "width": width,
        "heads": settings["heads"] or max(1, width // 64),
        "mlp_ratio": parts.tensor(weights, blocks).shape[0] / width,
        "sees": "corrupt",
        "classes": 0,
        "activation": settings["activation"],
        "norm_place": "post",
        "eps": settings["eps"],
        "init": "trunc_normal",
    }


def tree(modality: Tree, transformer: Tree, head: Tree) -> Tree:
    """The recipe of BERT around an encoder."""
    return {
        "modality": modality,
        "mask": {"random": {"ratio": 0.15, "count": "mask_round", "least": 1, "corrupt": {"draw": "vocab"}}},
        "encoder": {"transformer": transformer},
        "target": {"token_ids": {}},
        "head": {"lm": head},
        "loss": {"cross_entropy": {}},
    }
