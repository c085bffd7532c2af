"""The published layouts that are read, in the order in which they are asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from maskedmod.errors import UserError, unknown
from maskedmod.zoo.files.contents import fronts, without
from maskedmod.zoo.files.source import Source
from maskedmod.zoo.layouts import arguments
from maskedmod.zoo.layouts.audio import audio_mae
from maskedmod.zoo.layouts.graph import graph_mae, graph_mae_molecules, pretrain_gnns
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
from maskedmod.zoo.layouts.sequence import fair_esm, fairseq_roberta, hf_bert, hf_esm, molformer


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
    fairseq_roberta,
    fair_esm,
    hf_esm,
    hf_bert,
    molformer,
    graph_mae_molecules,
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


UNREAD = {
    r"(?:.*\.)?albert\.": "ALBERT, whose blocks share one set of weights behind a narrower embedding, is not read",
    r"(?:.*\.)?embedding_hidden_mapping_in\.": "ALBERT, whose blocks share one set of weights, is not read",
    r"(?:.*\.)?deberta\.": "DeBERTa, whose attention knows relative positions apart from content, is not read",
    r"(?:.*\.)?(?:electra\.|generator_predictions\.|discriminator_predictions\.)": "ELECTRA is not read",
    r"(?:.*\.)?distilbert\.": "DistilBERT is not read",
    r"(?:.*\.)?(?:word_embedding\.|transformer\.mask_emb)": "XLNet, which permutes the order of tokens, is not read",
}
"""Beginnings of keys of systems that are known by name alone, and why they are not read."""
NESTED = 4
"""Most prefixes that are taken off one after another."""


def find(source: Source, name: str | None = None, prefix: str | None = None) -> tuple[Layout, Source]:
    """The layout called ``name``, or the one that recognises the keys; and the source, with a prefix of all or most keys
    taken off where that alone makes a layout fit. ``prefix``: takes this one off. UserError names what is known, or what was
    found."""
    if prefix is not None:
        source = _taken_off(source, prefix)
    layouts, whole = LAYOUTS if name is None else _named(name), source
    if (layout := _matching(source.weights, layouts)) is not None:
        return layout, source
    for _ in range(NESTED if prefix is None else 0):
        fits = [(layout, front) for front in fronts(source.weights) if (layout := _inside(source, front, layouts)) is not None]
        if len(fits) > 1:
            both = " and ".join(front for _, front in fits)
            raise UserError(f"{source.path}: keys under {both} are of a known layout; say which with prefix={fits[0][1]}")
        if fits:
            return fits[0][0], _taken_off(source, fits[0][1])
        if not (first := fronts(source.weights)):
            break
        source = _taken_off(source, first[0])
    if name is not None:  # asked for by name: what does not fit will be said key by key
        return layouts[0], whole
    for layout in layouts:
        if what := arguments.refused(getattr(layout, "UNREAD", {}), whole.weights):
            raise UserError(f"{source.path}: {what} is not supported by layout {layout.NAME}")
    _refuse_known(source)
    some = ", ".join(sorted(whole.weights)[:5])
    known = ", ".join(layout.NAME for layout in LAYOUTS)
    raise UserError(f"{source.path}: its keys ({some}, ...) are of no known layout; known are {known}")


def _named(name: str) -> tuple[Layout, ...]:
    found = tuple(layout for layout in LAYOUTS if name == layout.NAME)
    if not found:
        raise unknown("layout", name, [layout.NAME for layout in LAYOUTS])
    return found


def _matching(weights: Mapping[str, Tensor], layouts: tuple[Layout, ...]) -> Layout | None:
    return next((layout for layout in layouts if layout.matches(weights)), None)


def _inside(source: Source, prefix: str, layouts: tuple[Layout, ...]) -> Layout | None:
    return _matching(without(source.weights, prefix), layouts)


def _taken_off(source: Source, prefix: str) -> Source:
    """The keys under a prefix, without it; what has it not stands beside them."""
    inner = without(source.weights, prefix)
    if not inner:
        raise UserError(
            f"{source.path}: no key begins with prefix={prefix}; keys are {', '.join(sorted(source.weights)[:3])}, ..."
        )
    others = {key: x for key, x in source.weights.items() if not key.startswith(prefix) and key not in inner}
    beside = {key.removeprefix(prefix) for key in source.beside} & set(inner) | set(others)
    return replace(source, weights={**inner, **others}, beside=frozenset(beside), prefix=source.prefix + prefix)


def _refuse_known(source: Source) -> None:
    """UserError for files of systems that are known and not read."""
    for pattern, why in UNREAD.items():
        if any(re.match(pattern, key) for key in source.weights):
            raise UserError(f"{source.path}: {why}")
