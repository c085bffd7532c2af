"""Encoders of molecules as snap-stanford/pretrain-gnns saves them: a plain state dict."""

from __future__ import annotations

import torch

from maskedmod.errors import UserError
from maskedmod.recipe.layering import chosen
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import STATISTICS
from maskedmod.zoo.writing import Writer, Written

ENCODER_ALONE = "the encoder alone is written: the authors' files have no heads"


def pretrain_gnns(loaded: Loaded, version: int) -> Written:
    """``masking.pth``: the GIN, GCN, GAT or GraphSAGE of pretrain-gnns, the GIN of Mole-BERT and of GraphMAE on molecules."""
    features = (loaded.tree.get("modality", {}).get("molecular_graph") or {}).get("features")
    if chosen(loaded.tree.get("encoder")) != "gin_bonds" or features != "pretrain_gnns":
        raise UserError("layout pretrain_gnns is for molecular graphs with its features and encoder=gin_bonds")
    encoder = loaded.tree["encoder"]["gin_bonds"] or {}
    out = Writer(dict(loaded.model.state_dict()), loaded.kept)
    notes = [ENCODER_ALONE] if out.leave("objectives.", "teacher.", "encoder.mask_token") else []
    layer, kind = r"encoder\.layers\.(\d+)\.gin", encoder.get("layer", "gin")
    for number in (0, 1):
        out.one(f"encoder.embed.tables.{number}", f"x_embedding{number + 1}.weight")
        out.each(rf"{layer}\.tables\.{number}", rf"gnns.\1.edge_embedding{number + 1}.weight")
    out.each(rf"{layer}\.mlp\.(.*)", r"gnns.\1.mlp.\2")
    out.each(rf"{layer}\.linear\.(.*)", rf"gnns.\1.{'weight_' if kind == 'gat' else ''}linear.\2")
    out.each(rf"{layer}\.bias", r"gnns.\1.bias")
    for number in range(encoder.get("depth", 5) if kind == "gat" else 0):
        ends = [out.left.pop(f"encoder.layers.{number}.gin.{name}") for name in ("target", "source")]
        out.out[f"gnns.{number}.att"] = torch.cat(ends, dim=-1)[None]
    out.each(rf"encoder\.layers\.(\d+)\.norm\.{STATISTICS}", r"batch_norms.\1.\2")
    jump = encoder.get("jump", "last")
    if jump != "last":
        notes.append(f"the file does not tell that layers are joined: JK={jump} there, settings={{'jump': '{jump}'}} here")
    if kind in ("gcn", "graphsage"):
        notes.append(f"no tensor tells gcn from graphsage: gnn_type={kind} there, settings={{'gnn_type': '{kind}'}} here")
    return Written(out.done(), "state", {}, notes=notes)
