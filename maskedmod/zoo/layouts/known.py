"""The published layouts that are read, in the order in which they are asked."""

from __future__ import annotations

from maskedmod.errors import UserError, unknown
from maskedmod.zoo.files.source import Source
from maskedmod.zoo.layouts import arguments
from maskedmod.zoo.layouts.audio import audio_mae
from maskedmod.zoo.layouts.graph import graph_mae, pretrain_gnns
from maskedmod.zoo.layouts.image import (
    beit,
    beit_v2,
    data2vec_vision,
    fair_mae,
    hf_beit,
    hf_clip,
    hf_i_jepa,
    hf_vit,
    hf_vit_mae,
    hf_vit_mim,
    i_jepa,
    simmim,
    timm_vit,
    vq_kd,
)
from maskedmod.zoo.layouts.layout import Layout
from maskedmod.zoo.layouts.points import point_m2ae, point_mae
from maskedmod.zoo.layouts.sequence import fair_esm, hf_bert, hf_esm, molformer


def _all(*modules: Layout) -> tuple[Layout, ...]:
    return modules


LAYOUTS = _all(
    audio_mae,
    fair_mae,
    hf_vit_mae,
    hf_vit_mim,
    simmim,
    i_jepa,
    hf_i_jepa,
    data2vec_vision,
    beit,
    beit_v2,
    hf_beit,
    fair_esm,
    hf_esm,
    hf_bert,
    molformer,
    pretrain_gnns,
    graph_mae,
    point_mae,
    point_m2ae,
    hf_clip,
    hf_vit,
    timm_vit,
    vq_kd,
)
"""Asked in this order; the first that matches is taken."""


def find(source: Source, name: str | None = None) -> Layout:
    """The layout called ``name``, or the one that recognises the keys. UserError names what is known, or what was found."""
    if name is not None:
        found = next((layout for layout in LAYOUTS if name == layout.NAME), None)
        if found is None:
            raise unknown("layout", name, [layout.NAME for layout in LAYOUTS])
        return found
    for layout in LAYOUTS:
        if layout.matches(source.weights):
            return layout
    for layout in LAYOUTS:
        if what := arguments.refused(getattr(layout, "UNREAD", {}), source.weights):
            raise UserError(f"{source.path}: {what} is not supported by layout {layout.NAME}")
    some = ", ".join(sorted(source.weights)[:5])
    known = ", ".join(layout.NAME for layout in LAYOUTS)
    raise UserError(f"{source.path}: its keys ({some}, ...) are of no known layout; known are {known}")
