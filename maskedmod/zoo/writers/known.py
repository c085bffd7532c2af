"""Published layouts that are written, by the name that reading gives them, and which one ``to=hf`` means for a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from maskedmod.errors import UserError, unknown
from maskedmod.recipe.layering import chosen
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.writers.graph import graph_mae, pretrain_gnns
from maskedmod.zoo.writers.image import jepa, mae, masked_inside
from maskedmod.zoo.writers.points import point_m2ae, point_mae
from maskedmod.zoo.writers.sequence import bert, esm, molformer
from maskedmod.zoo.writing import Written

WRITERS: dict[str, Callable[[Loaded, int], Written]] = {
    "fair_mae": mae.fair_mae,
    "hf_vit_mae": mae.hf_vit_mae,
    "timm_vit": mae.timm_vit,
    "audio_mae": mae.audio_mae,
    "beit": masked_inside.beit,
    "beit_v2": masked_inside.beit_v2,
    "data2vec_vision": masked_inside.data2vec_vision,
    "simmim": masked_inside.simmim,
    "hf_beit": masked_inside.hf_beit,
    "hf_vit_mim": masked_inside.hf_vit_mim,
    "i_jepa": jepa.i_jepa,
    "hf_i_jepa": jepa.hf_i_jepa,
    "fair_esm": esm.fair_esm,
    "hf_esm": esm.hf_esm,
    "hf_bert": bert.hf_bert,
    "molformer": molformer.molformer,
    "ibm_molformer": molformer.ibm_molformer,
    "point_mae": point_mae.point_mae,
    "point_m2ae": point_m2ae.point_m2ae,
    "pretrain_gnns": pretrain_gnns.pretrain_gnns,
    "graph_mae": graph_mae.graph_mae,
}
AUTHORS: dict[tuple[str | None, str | None], str] = {
    ("points", "transformer"): "point_mae", ("points", "point_pyramid"): "point_m2ae",
    ("molecular_graph", "gin_bonds"): "pretrain_gnns", ("graph", "gat"): "graph_mae", ("graph", "gin"): "graph_mae",
    ("graph", "gcn"): "graph_mae",
}  # fmt: skip
"""What ``to=fair`` means for point clouds and graphs, by modality and encoder."""
FAMILIES = ("hf", "timm", "fair-esm", "fair")


def write(loaded: Loaded, layout: str, version: int = 4) -> Written:
    """A model in a layout. ``version``: of transformers, whose names changed with 5; it reads both. UserError says what of the
    model the layout has no place for."""
    if layout not in WRITERS:
        raise unknown("layout", layout, WRITERS)
    return WRITERS[layout](loaded, version)


def meant(tree: dict[str, Any], to: str) -> str:
    """The layout of a family for this recipe. UserError when the family has none."""
    if to in WRITERS:
        return to
    if to not in FAMILIES:
        raise unknown("format", to, (*FAMILIES, *WRITERS), "of to=")
    layout = _choose(tree, to)
    if layout is None:
        kind = f"{chosen(tree.get('modality'))} with {chosen(tree.get('encoder'))}, {chosen(tree.get('head'))} and "
        raise UserError(f"to={to}: no layout for {kind}{chosen(tree.get('target'))}; known are {', '.join(WRITERS)}")
    return layout


def _choose(tree: dict[str, Any], to: str) -> str | None:
    modality, head, target = (chosen(tree.get(slot)) for slot in ("modality", "head", "target"))
    if to == "fair" and (found := AUTHORS.get((modality, chosen(tree.get("encoder"))))):
        return found
    encoder = (tree.get("encoder") or {}).get("transformer")
    if encoder is None:
        return None
    bert = encoder.get("norm_place") == "post" and encoder.get("positions") == "learned"
    if modality == "protein" and bert:
        return "hf_bert" if to == "hf" else None
    if modality == "protein":
        return {"hf": "hf_esm", "fair-esm": "fair_esm"}.get(to)
    if modality == "molecule" and encoder.get("random_features"):
        return {"hf": "molformer", "fair": "ibm_molformer"}.get(to)
    if modality in ("text", "molecule"):
        return "hf_bert" if to == "hf" and bert else None
    if modality == "audio":
        return "audio_mae" if to == "fair" else None
    if modality != "image":
        return None
    if _of_beit(encoder) or (to == "fair" and head == "linear" and encoder.get("qkv_bias") == "none"):
        inside = {"codes": "beit", "tokenizer_ids": "beit", "feature": "data2vec_vision", "raw": "simmim"}
        second = chosen(((tree.get("objectives") or {}).get("class") or {}).get("head"))
        if to == "fair" and second == "class_aggregation":
            return "beit_v2"
        return "hf_beit" if to == "hf" else inside.get(target or "") if to == "fair" else None
    if encoder.get("classes", 1) == 0:
        return {"hf": "hf_i_jepa", "fair": "i_jepa"}.get(to)
    if to == "hf" and head == "linear" and target == "raw" and encoder.get("sees") == "mask_token":
        return "hf_vit_mim"
    return {"hf": "hf_vit_mae", "timm": "timm_vit", "fair": "fair_mae"}.get(to)


def _of_beit(encoder: dict[str, Any]) -> bool:
    """Whether an encoder has what BEiT and its relatives alone have."""
    biased = encoder.get("positions") == "relative" or encoder.get("relative", "none") != "none"
    return biased or encoder.get("qkv_bias") == "qv"
