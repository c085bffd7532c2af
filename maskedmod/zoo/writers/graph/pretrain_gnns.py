"""Encoders of molecules as snap-stanford/pretrain-gnns saves them: a plain state dict."""

from __future__ import annotations

from maskedmod.errors import UserError
from maskedmod.recipe.layering import chosen
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import STATISTICS
from maskedmod.zoo.writing import Writer, Written

ENCODER_ALONE = "the encoder alone is written: the authors' files have no heads"


def pretrain_gnns(loaded: Loaded, version: int) -> Written:
    """``masking.pth``: the GIN of pretrain-gnns, Mole-BERT and GraphMAE on molecules."""
    features = (loaded.tree.get("modality", {}).get("molecular_graph") or {}).get("features")
    if chosen(loaded.tree.get("encoder")) != "gin_bonds" or features != "pretrain_gnns":
        raise UserError("layout pretrain_gnns is for molecular graphs with its features and encoder=gin_bonds")
    out = Writer(dict(loaded.model.state_dict()), loaded.kept)
    notes = [ENCODER_ALONE] if out.leave("objectives.", "teacher.", "encoder.mask_token") else []
    for number in (0, 1):
        out.one(f"encoder.embed.tables.{number}", f"x_embedding{number + 1}.weight")
        out.each(rf"encoder\.layers\.(\d+)\.gin\.tables\.{number}", rf"gnns.\1.edge_embedding{number + 1}.weight")
    out.each(r"encoder\.layers\.(\d+)\.gin\.mlp\.(.*)", r"gnns.\1.mlp.\2")
    out.each(rf"encoder\.layers\.(\d+)\.norm\.{STATISTICS}", r"batch_norms.\1.\2")
    jump = (loaded.tree["encoder"]["gin_bonds"] or {}).get("jump", "last")
    if jump != "last":
        notes.append(f"the file does not tell that layers are joined: JK={jump} there, settings={{'jump': '{jump}'}} here")
    return Written(out.done(), "state", {}, notes=notes)
