"""What the layouts share: sizes read from tensors, position tables, and the rules of Transformer blocks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.layers.positions import lattice, sincos
from maskedmod.zoo.mapping import INNER, Rule, flat, patch_rows
from maskedmod.zoo.settings import grid_of, heads_of

Weights = Mapping[str, Tensor]
TOLD = "the tensors tell it, leave it out"
"""Of an argument of the released code."""
Tree = dict[str, Any]

COMPUTED = "equals the sine-cosine table that is computed"
INDEX = "a constant index that follows from the grid"
NO_DECODER = "the file holds the encoder alone, the decoder is not trained"
NO_HEAD = "the file holds the encoder alone, the head is not trained"

HF_IMAGE_CONFIG = {
    "image_size": "image_size",
    "mean": "image_mean",
    "std": "image_std",
    "heads": "num_attention_heads",
    "eps": "layer_norm_eps",
    "activation": "hidden_act",
}
"""Settings of image Transformers -> their names in the configuration files of transformers."""


def tensor(weights: Weights, pattern: str) -> Tensor:
    """The first tensor whose key matches in full; UserError when there is none."""
    tensor = found(weights, pattern)
    if tensor is None:
        raise UserError(f"no key of the form {_plain(pattern)}, so the sizes of the model cannot be read from it")
    return tensor


def _plain(pattern: str) -> str:
    """A pattern as a person reads it."""
    return re.sub(r"\(\?:([^|)]*)\|?[^)]*\)\??", r"\1", pattern).replace("(\\d+)", "0").replace("\\.", ".").replace(".*", "*")


def found(weights: Weights, pattern: str) -> Tensor | None:
    """The first tensor whose key matches in full."""
    return next((weights[key] for key in weights if re.fullmatch(pattern, key)), None)


def has(weights: Weights, pattern: str) -> bool:
    return any(re.fullmatch(pattern, key) for key in weights)


def depth(weights: Weights, pattern: str) -> int:
    """Number of blocks: group 1 of the pattern is the block's number."""
    numbers = [int(match[1]) for key in weights if (match := re.fullmatch(pattern, key))]
    if not numbers:
        raise UserError(f"no key of the form {_plain(pattern)}, so the number of blocks cannot be read from it")
    if max(numbers) >= len(weights):  # more blocks than keys: refused before a model of that size is made
        raise UserError(f"block {max(numbers)} of {len(set(numbers))} blocks: those between are missing")
    return max(numbers) + 1


def transformer(weights: Weights, patch: str, blocks: str, fc1: str, settings: Tree) -> Tree:
    """Arguments of an encoder: width from the patch convolution, depth and mlp_ratio from the blocks."""
    width = tensor(weights, patch).shape[0]
    return {
        "depth": depth(weights, blocks),
        "width": width,
        "heads": settings["heads"] or heads_of(width),
        "mlp_ratio": tensor(weights, fc1).shape[0] / width,
        "eps": settings["eps"],
    }


def image(weights: Weights, patch: str, tokens: int, settings: Tree) -> tuple[Tree, tuple[int, int]]:
    """Modality slot, with sizes from the patch convolution ``[D, C, ph, pw]`` and the number of positions; and the grid."""
    kernel = tensor(weights, patch)
    side = (kernel.shape[2], kernel.shape[3])
    grid = grid_of(tokens, side, settings["image_size"], "image_size")
    size = [grid[0] * side[0], grid[1] * side[1]]
    usual = "imagenet" if kernel.shape[1] == 3 else None
    slot = {
        "size": size,
        "patch_size": list(side),
        "channels": kernel.shape[1],
        "mean": settings["mean"] or usual,
        "std": settings["std"] or usual,
    }
    return {"image": slot}, grid


def table_kind(table: Tensor, grid: tuple[int, int]) -> str:
    """``sincos`` when the table ``[1, p + N, D]`` is the computed one, else ``frozen``: it is kept as the file has it."""
    rows = table[0, -grid[0] * grid[1] :].float()
    if rows.shape[1] % 4:
        return "frozen"
    computed = sincos(lattice(grid), rows.shape[1]).float()
    return "sincos" if torch.allclose(rows, computed, atol=1e-5, rtol=0.0) else "frozen"


def table_rule(key: str, kind: str, to: str, prefix: int) -> Rule:
    """Where a position table goes; its first ``prefix`` rows are the class token's (see class_rule)."""
    if kind == "sincos":
        return Rule(key, unneeded=COMPUTED)
    return Rule(key, to, lambda x: x[0, prefix:], keep=True)


def class_rule(key: str, table: Tensor | None, to: str = "encoder", name: str = "prefix_tokens") -> Rule:
    """The class token; its own position row, a constant, is added to it once and for all."""
    if table is None or not table[0, 0].any():
        return Rule(key, f"{to}.{name}")
    return Rule(key, f"{to}.{name}", lambda x: x + table[:, :1].to(x.dtype), keep=True)


def no_class_row(table: Tensor, key: str) -> None:
    """A decoder's class row must be zero, as published ones are: our decoder gives class tokens no position."""
    if table[0, 0].any():
        raise UserError(f"{key}: the class token's row is not zero, which this model has no place for")


def patch_rules(at: str, to: str = "encoder.embed") -> list[Rule]:
    return [Rule(rf"{at}\.weight", f"{to}.weight", patch_rows), Rule(rf"{at}\.bias", f"{to}.bias")]


def bare_patch_rule(at: str, to: str = "encoder.embed") -> Rule:
    """A patch convolution without bias: ours is zero."""
    return Rule(at, f"{to}.weight", patch_rows, also=((f"{to}.bias", lambda x: x.new_zeros(len(x))),))


def linear_rules(at: str, to: str) -> list[Rule]:
    """A linear map or norm."""
    return [Rule(rf"{at}\.(weight|bias)", rf"{to}.\1")]


def block_rules(at: str, to: str) -> list[Rule]:
    """Blocks in the way of timm and FAIR, with BEiT's separate biases and layer scale."""
    return [
        Rule(rf"{at}\.(\d+)\.{INNER}", rf"{to}.\1.\2"),
        Rule(rf"{at}\.(\d+)\.attn\.([qv]_bias)", rf"{to}.\1.attn.\2"),
        Rule(rf"{at}\.(\d+)\.gamma_([12])", rf"{to}.\1.scale\2.gamma"),
    ]


def hf_bias(weights: Weights, layers: str) -> str:
    """Whether q, k and v have biases in the way of transformers: ``all`` or ``none``."""
    return "all" if has(weights, rf"{layers}\.0\.attention\.(?:q_proj|attention\.query)\.bias") else "none"


def hf_block_rules(at: str, to: str, separate_bias: bool = False) -> list[Rule]:
    """Blocks in the way of transformers, versions 4 and 5: q, k and v apart. ``separate_bias``: BEiT's, with none for k."""
    rules = []
    for part, (new, old) in enumerate((("q_proj", "query"), ("k_proj", "key"), ("v_proj", "value"))):
        name = rf"{at}\.(\d+)\.attention\.(?:{new}|attention\.{old})"
        rules.append(Rule(rf"{name}\.weight", rf"{to}.\1.attn.qkv.weight", part=part))
        if separate_bias:
            rules.append(Rule(rf"{name}\.bias", rf"{to}.\1.attn.{old[0]}_bias"))
        else:
            rules.append(Rule(rf"{name}\.bias", rf"{to}.\1.attn.qkv.bias", part=part))
    names = {
        r"attention\.(?:o_proj|output\.dense)": "attn.proj",
        r"(?:mlp\.fc1|intermediate\.dense)": "mlp.fc1",
        r"(?:mlp\.fc2|output\.dense)": "mlp.fc2",
        "layernorm_before": "norm1",
        "layernorm_after": "norm2",
    }
    rules += [Rule(rf"{at}\.(\d+)\.{old}\.(weight|bias)", rf"{to}.\1.{new}.\2") for old, new in names.items()]
    return [*rules, Rule(rf"{at}\.(\d+)\.lambda_([12])", rf"{to}.\1.scale\2.gamma")]


def mask_token_rule(key: str, to: str = "encoder.mask_token") -> Rule:
    return Rule(key, to, flat)


def relative_tokens(table: Tensor, patch: tuple[int, int], size: Any) -> int:
    """Number of patches that a table of relative biases ``[(2 h - 1) (2 w - 1) + 3, heads]`` is for."""
    rows = table.shape[0] - 3
    if size is None:
        side = (math.isqrt(max(rows, 1)) + 1) // 2
        grid = (side, side)
    else:
        height, width = (size, size) if isinstance(size, int) else size
        grid = (height // patch[0], width // patch[1])
    if (2 * grid[0] - 1) * (2 * grid[1] - 1) != rows:
        raise UserError(
            f"{rows + 3} relative positions are not those of a lattice {grid}: give settings={{'image_size': [h, w]}}"
        )
    return grid[0] * grid[1]


def image_tokens(kernel: Tensor, size: Any) -> int:
    """Number of patches of an image of ``size``, for files that no table of positions tells it."""
    if size is None:
        raise UserError("no table of positions tells the size of the images: give settings={'image_size': [h, w]}")
    height, width = (size, size) if isinstance(size, int) else size
    return (height // kernel.shape[2]) * (width // kernel.shape[3])
