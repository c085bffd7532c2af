"""GraphMAE and GraphMAE2 as their authors save them: a plain state dict."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch

from maskedmod.errors import UserError
from maskedmod.recipe.layering import chosen
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import HEAD, STATISTICS
from maskedmod.zoo.writing import Writer, Written, refuse, unusual

LATENT = "objectives.latent"
NOT_IN_FILE = "the file holds no settings: mask rate, dropout and loss are those of the code that reads it"


def graph_mae(loaded: Loaded, version: int) -> Written:
    """``checkpoint.pt`` of THUDM/GraphMAE or GraphMAE2, whole. Layers have the names of the DGL branch, or of the PyG branch
    where the model was read from one."""
    kind = chosen(loaded.tree.get("encoder"))
    if kind not in ENCODERS or chosen(loaded.tree.get("head")) != "graph_decoder":
        raise UserError(f"layout graph_mae is for graphs with encoder={', '.join(ENCODERS)} and head=graph_decoder")
    encoder, head = loaded.tree["encoder"][kind] or {}, loaded.tree["head"]["graph_decoder"] or {}
    refuse(
        "layout graph_mae",
        [*_odd(kind, encoder, "teacher.encoder.input.mask_token" in loaded.model.state_dict()), *_odd_head(head)],
    )
    out = Writer(dict(loaded.model.state_dict()), loaded.kept)
    out.leave("teacher.encoder.input.mask_token")
    out.one("encoder.input.mask_token", "enc_mask_token", lambda x: x.reshape(1, -1))
    out.one(f"{HEAD}.mask_token", "dec_mask_token", lambda x: x.reshape(1, -1))
    out.one(f"{HEAD}.embed.weight", "encoder_to_decoder.weight")
    if kind == "gin" and encoder.get("bare_end"):
        _isomorphism(out, rf"encoder\.layers\.({encoder['depth'] - 1})", r"encoder.{}.\1", "")
    ENCODERS[kind](out, r"encoder\.layers\.(\d+)", r"encoder.{}.\1", ".mlp")
    ENCODERS[kind](out, r"teacher\.encoder\.layers\.(\d+)", r"encoder_ema.{}.\1", ".mlp")
    DECODERS[head.get("kind", "gat")](out, rf"{HEAD}\.layer()", r"decoder.{}.0\1", "")
    out.one(f"{LATENT}.head.activation.weight", "predictor.0.weight")
    out.linear(f"{LATENT}.head.pred", "predictor.1")
    for ours, theirs in (("encoder", "projector"), ("teacher.encoder", "projector_ema")):
        out.each(rf"{ours}\.projector\.(.*)", rf"{theirs}.\1")
    out.again("dec_mask_token", *(f"{part}.activation.weight" for part in ("encoder", "encoder_ema", "decoder")))
    if "predictor.1.weight" in out.out and "dec_mask_token" not in out.out:  # the authors' network has it, used or not
        out.out["dec_mask_token"] = torch.zeros(1, len(out.out["encoder_to_decoder.weight"]))
    return Written(out.done(), "state", {}, notes=[NOT_IN_FILE])


def _odd(kind: str, encoder: dict[str, object], second: bool) -> list[str]:
    """Arguments of an encoder with which the authors' code would compute something else."""
    if kind == "gcn":
        return unusual(encoder, {"bias": "scaled"})
    if kind == "gin":
        bare = encoder.get("norm") == "none"
        return unusual(encoder, {"learn_eps": False, "bare_end": bare})
    return unusual(encoder, {"same_width_residual": not second}) if encoder.get("residual") else []


def _odd_head(head: dict[str, object]) -> list[str]:
    return unusual(head, {"bias": "scaled"}) if head.get("kind") == "gcn" else []


def _attention(out: Writer, ours: str, theirs: str, inside: str) -> None:
    at = theirs.format("gat_layers")
    torch_geometric = any(key.endswith(".lin_dst.weight") for key in out.kept)
    first, second, third = ("att_src", "att_dst", "lin_src") if torch_geometric else ("attn_l", "attn_r", "fc")
    if torch_geometric:  # its second map is the first
        for key in [key for key in out.left if re.fullmatch(rf"{ours}\.weight", key)]:
            out.out[re.sub(rf"{ours}\.weight", rf"{at}.lin_dst.weight", key)] = out.left[key]
    for name, other in (("weight", f"{third}.weight"), ("source", first), ("target", second), ("bias", "bias")):
        out.each(rf"{ours}\.{name}", f"{at}.{other}")
    out.each(rf"{ours}\.shortcut\.weight", rf"{at}.res_fc.weight")
    out.each(rf"{ours}\.norm\.{STATISTICS}", rf"{at}.norm.\2")
    out.each(rf"{ours}\.activation\.weight", rf"{at}.activation.weight")


def _convolution(out: Writer, ours: str, theirs: str, inside: str) -> None:
    at = theirs.format("gcn_layers")
    out.each(rf"{ours}\.(weight|bias)", rf"{at}.fc.\2")
    out.each(rf"{ours}\.shortcut\.weight", rf"{at}.res_fc.weight")
    out.each(rf"{ours}\.norm\.{STATISTICS}", rf"{at}.norm.\2")
    out.each(rf"{ours}\.activation\.weight", rf"{at}._activation.weight")


def _isomorphism(out: Writer, ours: str, theirs: str, inside: str) -> None:
    """``inside``: where the MLP lies, alone at the end of a network without norms and in a decoder."""
    at = theirs.format("layers")
    name = "nn" if any(".nn." in key for key in out.kept) else "apply_func"
    for key in [key for key in out.left if re.fullmatch(rf"{ours}\.fc1\.weight", key)]:
        out.out[re.sub(rf"{ours}\.fc1\.weight", rf"{at}.eps", key)] = torch.zeros(1)
    mlp = f"{at}.{name}{inside}"
    for number in (0, 1):
        out.each(rf"{ours}\.fc{number + 1}\.(weight|bias)", rf"{mlp}.linears.{number}.\2")
    out.each(rf"{ours}\.norm\.{STATISTICS}", rf"{mlp}.norms.0.\2")
    out.each(rf"{ours}\.activation\.weight", rf"{mlp}.activations.0.weight")
    out.each(rf"{ours}\.norm_after\.{STATISTICS}", rf"{at}.{name}.norm.\2")
    out.each(rf"{ours}\.activation_after\.weight", rf"{at}.{name}.act.weight")
    out.each(rf"{ours}\.shortcut\.weight", rf"{at}.res_fc.weight")


def _alone(out: Writer, ours: str, theirs: str, inside: str) -> None:
    """A decoder of single nodes."""
    several = out.left.get(f"{HEAD}.layer.fc1.weight") is not None
    out.linear(f"{HEAD}.layer.fc1", "decoder.0")
    out.one(f"{HEAD}.layer.activation.weight", "decoder.1.weight")
    out.linear(f"{HEAD}.layer.fc2", "decoder.3" if several else "decoder")


Layers = Callable[[Writer, str, str, str], None]
ENCODERS: dict[str, Layers] = {"gat": _attention, "gcn": _convolution, "gin": _isomorphism}
DECODERS: dict[str, Layers] = {**ENCODERS, "mlp": _alone, "linear": _alone}
