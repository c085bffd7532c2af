"""Bonds of masked atoms: which they are, and how they are hidden."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from maskedmod.core.mask_set import MaskSet
from maskedmod.core.tokens import Relation, Tokens
from maskedmod.layers.categories import hide_ids


@dataclass
class HiddenBonds(MaskSet):
    """A mask that hides the ids of edges too: ``edges`` bool ``[E]``, which then have the first id ``edge_id`` and zeros."""

    edges: Tensor | None = None
    edge_id: int = 0

    def rewrite(self, rows: Tokens) -> Tokens:
        """rows with the ids of hidden edges."""
        relation = rows.relation
        assert relation is not None and relation.attr is not None and self.edges is not None
        return replace(rows, relation=replace(relation, attr=hide_ids(relation.attr, self.edges, self.edge_id)))


def hide_bonds(mask: MaskSet, rows: Tokens, edge_id: int) -> HiddenBonds:
    """The mask, with every edge of a hidden node hidden, in both directions. ValueError where edges have no ids."""
    relation = relation_of(rows)
    if relation.attr is None or relation.attr.is_floating_point():
        raise ValueError("bonds can be hidden where edges have ids; this modality gives none, set mask.bonds=false")
    known = {field.name: getattr(mask, field.name) for field in fields(MaskSet)}
    return HiddenBonds(**known, edges=mask.hidden[relation.edge_index].any(0), edge_id=edge_id)


def bonds_of(index: Tensor, rows: Tokens) -> Tensor:
    """Numbers of the edges that touch one of the nodes ``index`` int64 ``[T]``, each bond once (from its lower to its higher
    node), int64 ``[U]``."""
    edges = relation_of(rows).edge_index
    asked = torch.zeros(rows.shape[0], dtype=torch.bool, device=index.device).index_fill(0, index, True)
    return (asked[edges].any(0) & (edges[0] < edges[1])).nonzero()[:, 0]


def relation_of(rows: Tokens) -> Relation:
    """The edges of tokens. ValueError where there are none."""
    if rows.relation is None:
        raise ValueError("these tokens have no edges; use a modality of graphs")
    return rows.relation
