"""Arguments of GraphMAE's and GraphMAE2's constructor: what the tensors show of them, and which are refused.

Source: ``PreModel`` of THUDM/GraphMAE@b14f080 (DGL) and @9127f25 (PyG), graphmae/models/edcoder.py, and of
THUDM/GraphMAE2@bc473e8, models/edcoder.py. An argument that is given must agree with the tensors; one that no tensor shows has
a default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from maskedmod.errors import UserError
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights

SHOWN = (
    "in_dim", "num_hidden", "num_layers", "num_dec_layers", "nhead", "nhead_out", "residual", "norm", "encoder_type",
    "decoder_type", "concat_hidden",
)  # fmt: skip
"""Arguments that tensors show, some of them not always."""
UNSEEN: dict[str, Any] = {
    "mask_rate": 0.5, "replace_rate": 0.0, "alpha_l": 3.0, "loss_fn": "sce", "activation": "prelu", "negative_slope": 0.2,
    "feat_drop": 0.2, "attn_drop": 0.1, "drop_edge_rate": 0.0,
}  # fmt: skip
"""Those that they do not, with the published values."""
SECOND: dict[str, Any] = {
    "num_remasking": 3, "remask_rate": 0.5, "remask_method": "random", "mask_method": "random", "lam": 1.0, "momentum": 0.996,
    "delayed_ema_epoch": 0, "zero_init": False,
}  # fmt: skip
"""Those of GraphMAE2. ``zero_init`` is about first weights alone."""
LAYERS = {
    "gat": r"{}\.gat_layers\.(\d+)\.(?:attn_l|att_src)",
    "dotgat": r"{}\.gat_layers\.(\d+)\.fc\.weight",
    "gcn": r"{}\.gcn_layers\.(\d+)\.fc\.weight",
    "gin": r"{}\.layers\.(\d+)\.(?:nn|apply_func)\.(?:mlp\.)?linears\.0\.weight",
    "mlp": r"{}\.(0)\.weight",
    "linear": r"{}()\.weight",
}
"""Where every type of encoder and decoder has its layers."""
NORMS = {"layernorm": "layer", "batchnorm": "batch"}
ACTIVATIONS = ("prelu", "relu", "gelu", "elu", "selu", "silu", None)


@dataclass(frozen=True)
class Shown:
    """What tensors and settings say together. ``norm``, ``activation``: in the words of our encoders; ``torch_geometric``: the
    file is of the PyG branch; ``bare_end``: the last layer of GIN has nothing after its MLP."""

    encoder: str
    decoder: str
    features: int
    width: int
    depth: int
    joined: int
    heads: int
    decoder_heads: int
    norm: str
    activation: str
    residual: bool
    torch_geometric: bool
    second: bool
    bare_end: bool


def shown(weights: Weights, settings: Tree) -> Shown:
    """UserError names the argument that contradicts the tensors, is missing, or has no equal here."""
    width, joined = weights["encoder_to_decoder.weight"].shape
    second = "dec_mask_token" in weights
    encoder, decoder = _kind(weights, "encoder"), _kind(weights, "decoder")
    depth = parts.depth(weights, LAYERS[encoder].format("encoder"))
    torch_geometric = any("lin_src" in key or ".nn." in key for key in weights)
    features = weights["enc_mask_token"].shape[1]
    mapped = parts.has(weights, r"encoder\..*\.res_fc\.weight")
    found = {
        "in_dim": features, "num_hidden": width, "num_layers": depth, "encoder_type": encoder, "decoder_type": decoder,
        "num_dec_layers": _decoder_depth(weights, decoder),
    }  # fmt: skip
    if depth > 1:
        found["concat_hidden"] = joined != width
    if mapped or features != width:
        found["residual"] = mapped
    heads = _heads(weights, "encoder", encoder, settings["nhead"], width)
    if encoder == "gat":
        found["nhead"] = heads
    decoder_heads = _heads(weights, "decoder", decoder, settings["nhead_out"] or 1, features)
    if decoder in ("gat", "dotgat"):
        found["nhead_out"] = decoder_heads
    for name, value in found.items():
        if settings[name] is not None and settings[name] != value and not _without_effect(name, encoder, torch_geometric):
            raise UserError(f"{name}={settings[name]}, but the file's tensors are those of {name}={value}")
    if joined not in (width, width * depth):
        raise UserError(f"concat_hidden: encoder_to_decoder reads {joined} values, expected {width} or {depth} layers of {width}")
    residual = mapped or bool(settings["residual"])
    _refuse(settings, encoder, decoder, decoder_heads, residual, torch_geometric, second)
    return Shown(
        encoder, decoder, features, width, depth, joined // width, heads, decoder_heads, _norm(weights, settings),
        _activation(weights, settings, encoder, depth), residual and not (torch_geometric and encoder == "gin"), torch_geometric,
        second, encoder == "gin" and not parts.has(weights, rf"encoder\.layers\.{depth - 1}\.(?:nn|apply_func)\.mlp\..*"),
    )  # fmt: skip


def _without_effect(name: str, encoder: str, torch_geometric: bool) -> bool:
    """GIN of the PyG branch takes ``residual`` and does nothing with it."""
    return name == "residual" and encoder == "gin" and torch_geometric


def _kind(weights: Weights, of: str) -> str:
    found = next((kind for kind, pattern in LAYERS.items() if parts.has(weights, pattern.format(of))), None)
    if found is None or (of == "encoder" and found in ("mlp", "linear")):
        accepted = ", ".join(kind for kind in LAYERS if of == "decoder" or kind not in ("mlp", "linear"))
        raise UserError(f"{of}_type: its keys are of none of {accepted}")
    return found


def _decoder_depth(weights: Weights, kind: str) -> int:
    return 1 if kind in ("mlp", "linear") else parts.depth(weights, LAYERS[kind].format("decoder"))


def _heads(weights: Weights, of: str, kind: str, given: int | None, width: int) -> int:
    """Of attention; a dot product has no tensor that tells."""
    if kind == "gat":
        return parts.tensor(weights, LAYERS["gat"].format(of)).shape[1]
    if kind != "dotgat":
        return 1
    if of == "decoder":
        return int(parts.tensor(weights, LAYERS["dotgat"].format(of)).shape[0] // width)
    if given is None:
        raise UserError("nhead: no tensor of a dotgat tells its number of heads; give settings={'nhead': ...}")
    return given


def _norm(weights: Weights, settings: Tree) -> str:
    if parts.has(weights, r"encoder\..*\.(?:mean_scale|norm\.norm\..*)") or settings["norm"] == "graphnorm":
        raise UserError("norm=graphnorm has no equal here; accepted are layernorm, batchnorm and none")
    if parts.has(weights, r"encoder\..*\.running_mean"):
        norm = "batch"
    else:
        norm = "layer" if parts.has(weights, r"encoder\..*\.norms?\.(?:0\.)?weight") else "none"
    if settings["norm"] is not None and NORMS.get(settings["norm"], "none") != norm:
        raise UserError(f"norm={settings['norm']}, but the file's tensors are those of {norm} norm")
    return norm


def _activation(weights: Weights, settings: Tree, encoder: str, depth: int) -> str:
    """PReLU has slopes, which show; a single layer of attention has none, whatever the argument says."""
    given = settings["activation"]
    if given not in ACTIVATIONS:
        raise UserError(f"activation={given}: accepted are {', '.join(str(name) for name in ACTIVATIONS)}")
    if encoder in ("gat", "dotgat") and depth == 1:
        return "none"
    slopes = parts.has(weights, r"encoder\.\w+\.\d+\..*(?:activation|activations\.0|act)\.weight")
    if slopes != (given == "prelu"):
        has = "the" if slopes else "no"
        raise UserError(f"activation={given}, but the file has {has} slopes of prelu: give settings={{'activation': ...}}")
    return given or "none"


def _refuse(
    settings: Tree, encoder: str, decoder: str, decoder_heads: int, residual: bool, torch_geometric: bool, second: bool
) -> None:
    """What the authors' own code cannot run, or what has no equal here."""
    cannot = "which the authors' code cannot run"
    if decoder_heads > 1:
        raise UserError(f"nhead_out={decoder_heads}: a decoder that gives in_dim values for each head, {cannot}")
    if residual and encoder == "dotgat":
        raise UserError(f"residual=true with encoder_type=dotgat, {cannot}")
    if residual and encoder == "gat" and torch_geometric:
        raise UserError("residual=true with encoder_type=gat of the PyG branch, which adds mapped inputs, has no equal here")
    if second and decoder in ("mlp", "linear"):
        raise UserError(f"decoder_type={decoder} of GraphMAE2, {cannot}")
    if second and encoder != "gat":
        raise UserError(f"encoder_type={encoder} of GraphMAE2: accepted is gat")
    for name, accepted in (("loss_fn", ("sce", "mse")), ("mask_method", ("random",)), ("remask_method", ("random", "fixed"))):
        if settings[name] not in accepted:
            raise UserError(f"{name}={settings[name]}: accepted are {', '.join(accepted)}")
