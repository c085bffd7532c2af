"""What a mask of edges decided, for the targets and heads that are asked for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from maskedmod.core.mask_set import MaskSet
from maskedmod.core.tokens import Relation, Tokens


@dataclass
class EdgeMask(MaskSet):
    """A mask that hides edges and no node. ``kept`` bool ``[E]``. ``pairs`` int64 ``[2, P]``: the hidden pairs of nodes, and
    behind them pairs that no edge joins; ``joined`` bool ``[P]`` tells them apart. ``directed``: a pair is one direction of an
    edge, from its first node to its second; else both."""

    kept: Tensor | None = None
    pairs: Tensor | None = None
    joined: Tensor | None = None
    directed: bool = False

    def rewrite(self, rows: Tokens) -> Tokens:
        """rows without the hidden edges."""
        return replace(rows, relation=replace(relation_of(rows), kept=self.kept))


def relation_of(tokens: Tokens) -> Relation:
    """Edges of the tokens. ValueError where they have none."""
    if tokens.relation is None or not tokens.layout.packed:
        raise ValueError("masks of edges are for packed nodes with edges: modality=graph")
    return tokens.relation


def hidden_edges(mask: MaskSet) -> tuple[Tensor, Tensor]:
    """Pairs int64 ``[2, P]`` and whether an edge joined them, bool ``[P]``. ValueError under a mask that hides no edges."""
    if not isinstance(mask, EdgeMask):
        raise ValueError("edges are predicted under mask=edges or mask=paths")
    assert mask.pairs is not None and mask.joined is not None
    return mask.pairs, mask.joined
