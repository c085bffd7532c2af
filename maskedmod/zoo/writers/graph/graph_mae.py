"""GraphMAE and GraphMAE2 as their authors save them: a plain state dict."""

from __future__ import annotations

import re

import torch

from maskedmod.errors import UserError
from maskedmod.recipe.layering import chosen
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import HEAD, STATISTICS
from maskedmod.zoo.writing import Writer, Written

LATENT = "objectives.latent"
NOT_IN_FILE = "the file holds no settings: mask rate, dropout and loss are those of the code that reads it"


def graph_mae(loaded: Loaded, version: int) -> Written:
    """``checkpoint.pt`` of THUDM/GraphMAE or GraphMAE2, whole. Attention has the names of the DGL branch, or of the PyG branch
    where the model was read from one."""
    kind = chosen(loaded.tree.get("encoder"))
    if kind not in ("gat", "gin") or chosen(loaded.tree.get("head")) != "graph_decoder":
        raise UserError("layout graph_mae is for graphs with encoder=gat or gin and head=graph_decoder")
    out = Writer(dict(loaded.model.state_dict()), loaded.kept)
    out.leave("teacher.encoder.input.mask_token")
    out.one("encoder.input.mask_token", "enc_mask_token", lambda x: x.reshape(1, -1))
    out.one(f"{HEAD}.mask_token", "dec_mask_token", lambda x: x.reshape(1, -1))
    out.one(f"{HEAD}.embed.weight", "encoder_to_decoder.weight")
    layers = _attention if kind == "gat" else _isomorphism
    layers(out, r"encoder\.layers\.(\d+)", r"encoder.{}.\1")
    layers(out, r"teacher\.encoder\.layers\.(\d+)", r"encoder_ema.{}.\1")
    layers(out, rf"{HEAD}\.layer()", r"decoder.{}.0\1")
    out.one(f"{LATENT}.head.activation.weight", "predictor.0.weight")
    out.linear(f"{LATENT}.head.pred", "predictor.1")
    for ours, theirs in (("encoder", "projector"), ("teacher.encoder", "projector_ema")):
        out.each(rf"{ours}\.projector\.(.*)", rf"{theirs}.\1")
    out.again(*(f"{part}.activation.weight" for part in ("encoder", "encoder_ema", "decoder")))
    return Written(out.done(), "state", {}, notes=[NOT_IN_FILE])


def _attention(out: Writer, ours: str, theirs: str) -> None:
    at = theirs.format("gat_layers")
    torch_geometric = any(key.endswith(".lin_dst.weight") for key in out.kept)
    first, second, third = ("att_src", "att_dst", "lin_src") if torch_geometric else ("attn_l", "attn_r", "fc")
    if torch_geometric:  # its second map is the first
        for key in [key for key in out.left if re.fullmatch(rf"{ours}\.weight", key)]:
            out.out[re.sub(rf"{ours}\.weight", rf"{at}.lin_dst.weight", key)] = out.left[key]
    for name, other in (("weight", f"{third}.weight"), ("source", first), ("target", second), ("bias", "bias")):
        out.each(rf"{ours}\.{name}", f"{at}.{other}")
    out.each(rf"{ours}\.shortcut\.weight", rf"{at}.res_fc.weight")
    out.each(rf"{ours}\.(norm|activation)\.(weight|bias)", rf"{at}.\2.\3")


def _isomorphism(out: Writer, ours: str, theirs: str) -> None:
    at = theirs.format("layers")
    inside = "nn" if theirs.startswith("decoder") else "nn.mlp"
    for key in [key for key in out.left if re.fullmatch(rf"{ours}\.fc1\.weight", key)]:
        out.out[re.sub(rf"{ours}\.fc1\.weight", rf"{at}.eps", key)] = torch.zeros(1)
    for number in (0, 1):
        out.each(rf"{ours}\.fc{number + 1}\.(weight|bias)", rf"{at}.{inside}.linears.{number}.\2")
    out.each(rf"{ours}\.norm\.{STATISTICS}", rf"{at}.{inside}.norms.0.\2")
    out.each(rf"{ours}\.activation\.weight", rf"{at}.{inside}.activations.0.weight")
    out.each(rf"{ours}\.norm_after\.{STATISTICS}", rf"{at}.nn.norm.\2")
    out.each(rf"{ours}\.activation_after\.weight", rf"{at}.nn.act.weight")
