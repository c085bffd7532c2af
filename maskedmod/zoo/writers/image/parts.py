"""What the layouts of Vision Transformers share when they are written: sizes, token and position tables, names of blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.layers.positions import SinCos, Table, lattice, sincos
from maskedmod.recipe.layering import chosen
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import patch_kernel
from maskedmod.zoo.writing import Qkv, Writer, refuse, same, unusual

FAIR = {name: name for name in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2", "attn.q_bias", "attn.v_bias")}
FAIR |= {"scale1.gamma": "gamma_1", "scale2.gamma": "gamma_2"}
"""Names inside a block, ours to theirs: FAIR, timm and BEiT."""
SCALES = {"scale1.gamma": "lambda_1", "scale2.gamma": "lambda_2"}
HF4 = {
    "attn.proj": "attention.output.dense", "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
    "norm1": "layernorm_before", "norm2": "layernorm_after", **SCALES,
}  # fmt: skip
HF5 = {**HF4, "attn.proj": "attention.o_proj", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
QKV4: Qkv = ("attention.attention.query", "attention.attention.key", "attention.attention.value")
QKV5: Qkv = ("attention.q_proj", "attention.k_proj", "attention.v_proj")

USUAL: dict[str, Any] = {
    "norm": "layer", "norm_place": "pre", "qk_norm": False, "random_features": None, "causal": False, "registers": 0,
    "embed_norm": False, "token_dropout": None, "position_offset": 0, "relative": "none",
}  # fmt: skip
"""Encoder arguments that all of them take for granted."""
TABLES = ("sincos", "learned", "frozen")
ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "relu": "relu"}


@dataclass(frozen=True)
class Parts:
    """A loaded Vision Transformer in pieces: blocks' names and arguments, sizes of the picture."""

    loaded: Loaded
    encoder: Mapping[str, Any]
    head: str
    head_arguments: Mapping[str, Any]
    target: str
    target_arguments: Mapping[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        grid, patch = self.grid, self.patch
        return grid[0] * patch[0], grid[1] * patch[1]

    @property
    def grid(self) -> tuple[int, int]:
        grid = self.loaded.modality.spec.grid
        assert grid is not None and len(grid) == 2
        return grid[0], grid[1]

    @property
    def patch(self) -> tuple[int, int]:
        patch = self.loaded.modality.spec.patch
        assert patch is not None
        return patch[0], patch[1]

    @property
    def channels(self) -> int:
        return self.loaded.modality.spec.channels or 1

    @property
    def eps(self) -> float:
        return float(self.encoder.get("eps", 1e-6))

    def writer(self) -> Writer:
        return Writer(dict(self.loaded.model.state_dict()), self.loaded.kept)


def parts(loaded: Loaded, layout: str, modality: str = "image", usual: Mapping[str, Any] | None = None) -> Parts:
    """The pieces of a model. UserError for one that is no Vision Transformer, or has parts that the layout does not know."""
    tree = loaded.tree
    encoder = tree.get("encoder", {}).get("transformer")
    if chosen(tree.get("modality")) != modality or encoder is None:
        raise UserError(f"layout {layout} is for transformers of modality {modality}")
    refuse(f"layout {layout}", unusual(encoder, {**USUAL, **(usual or {})}))
    main = {**tree, **((tree.get("objectives") or {}).get("main") or {})}
    head, target = chosen(main.get("head")) or "", chosen(main.get("target")) or ""
    return Parts(loaded, encoder, head, main["head"][head] or {}, target, main["target"][target] or {})


def config(p: Parts, kind: str, architecture: str) -> dict[str, Any]:
    """``config.json`` of transformers with what all its Vision Transformers have."""
    encoder: Any = p.loaded.model.encoder
    height, width = p.size
    first = encoder.blocks[0] if len(encoder.blocks) else None
    return {
        "architectures": [architecture],
        "model_type": kind,
        "image_size": height if height == width else [height, width],
        "patch_size": p.patch[0] if p.patch[0] == p.patch[1] else list(p.patch),
        "num_channels": p.channels,
        "hidden_size": encoder.width,
        "num_hidden_layers": len(encoder.blocks),
        "num_attention_heads": encoder.heads,
        "intermediate_size": encoder.width if first is None else first.mlp.fc1.out_features,
        "hidden_act": ACTIVATIONS[p.encoder.get("activation", "gelu")],
        "layer_norm_eps": p.eps,
    }


def preprocessor(p: Parts) -> dict[str, Any]:
    """``preprocessor_config.json``: size and statistics of the pixels, 8 bits counting from 0 to 1."""
    found = p.loaded.modality.statistics
    if "mean" not in found:
        return {}
    height, width = p.size
    content = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(found["mean"]),
        "image_std": list(found["std"]),
    }
    return {"preprocessor_config.json": content}


def embedding(out: Writer, p: Parts, theirs: str, ours: str = "encoder.embed") -> None:
    """The patch convolution."""
    out.one(f"{ours}.weight", f"{theirs}.weight", patch_kernel(p.channels, p.patch))
    out.one(f"{ours}.bias", f"{theirs}.bias")


def vector(shape: tuple[int, ...]) -> Any:
    """A mask token ``[D]`` in another shape."""
    return lambda x: x.reshape(shape)


def places(out: Writer, module: Any, theirs: str, grid: tuple[int, ...], prefix: int, ours: str) -> Tensor:
    """The position table ``[1, prefix + N, D]``: computed or the model's own, with zero rows for prefix tokens; the file's, where
    the model still has its values."""
    kept = out.original(theirs)
    if isinstance(module, SinCos):
        rows = sincos(lattice(grid), module.width, module.temperature).float()
        if kept is not None and kept.shape[1] == prefix + len(rows):
            return kept  # equal to the computed one, or it had not been left out
    elif isinstance(module, Table):
        rows = out.left.pop(f"{ours}.table")
        if kept is not None and same(kept[0, prefix:], rows):
            return kept
    else:
        raise UserError(f"{type(module).__name__} positions cannot be written as the table {theirs}")
    return torch.cat([rows.new_zeros(prefix, rows.shape[1]), rows])[None]


def tokens_and_places(out: Writer, p: Parts, token: str, table: str, at: str = "encoder") -> None:
    """Class token and position table of the encoder ``at``. A class token that came with a position of its own gets it back while
    nothing was trained; else the position is part of the token and its row is zero."""
    positions = p.loaded.model.get_submodule(f"{at}.positions")
    rows = places(out, positions, table, p.grid, 1, f"{at}.positions")
    ours, kept = out.left.pop(f"{at}.prefix_tokens"), out.original(token)
    if rows[:, :1].any():
        if kept is not None and same(kept + rows[:, :1].to(kept.dtype), ours):
            ours = kept
        else:
            rows = torch.cat([torch.zeros_like(rows[:, :1]), rows[:, 1:]], dim=1)
    out.out[token], out.out[table] = ours, rows
