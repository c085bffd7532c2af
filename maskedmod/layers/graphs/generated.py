"""What a mask that generates a graph decided, for the targets and heads that are asked for its nodes and edges."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from maskedmod.core.mask_set import MaskSet
from maskedmod.core.tokens import Layout, Relation, Tokens


@dataclass
class Generated(MaskSet):
    """A mask of a larger graph, in whose numbers all its lists are: the nodes of the batch and, behind those of each graph,
    copies of some of them, hidden. ``nodes`` int64 ``[L + T]``: the node that each is or is a copy of. ``relation``, ``layout``:
    of the larger graph. ``removed`` int64 ``[2, U]``: edges that were taken away, each once, from the later node to the earlier.
    ``known`` int64 ``[2, E]``: all edges of the batch. ``slot`` int64 ``[U]``: drawn numbers that say where among the candidates
    the true end of a removed edge stands."""

    nodes: Tensor | None = None
    relation: Relation | None = None
    layout: Layout | None = None
    removed: Tensor | None = None
    known: Tensor | None = None
    slot: Tensor | None = None

    def source(self, rows: Tokens) -> Tokens:
        """rows with the copies, which carry what is to be generated."""
        assert self.nodes is not None and self.layout is not None
        return Tokens(rows.values[self.nodes], rows.pos[self.nodes], self.layout, relation=self.relation)

    def rewrite(self, rows: Tokens) -> Tokens:
        """The same: an encoder that sees mask_token does not read the values of hidden nodes."""
        return self.source(rows)


def generated(mask: MaskSet) -> Generated:
    """The mask itself. ValueError where it is another one."""
    if not isinstance(mask, Generated):
        raise ValueError("edges are generated under mask=generation")
    return mask
