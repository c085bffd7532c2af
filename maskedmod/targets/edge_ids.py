"""The ids of edges: bond types."""

from __future__ import annotations

from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.layers.graphs.bonds import bonds_of, relation_of


class EdgeIds(Target):
    """An id of every edge that touches a predicted node, each undirected edge once (Hu et al. 2020: types of the bonds of masked
    atoms). ``which`` of its ids: 0 is the type of a bond, 1 its direction. ValueError where edges have no such id."""

    discrete = True

    def __init__(self, spec: Spec, which: int = 0) -> None:
        super().__init__()
        if not 0 <= which < len(spec.edge_categories):
            raise ValueError(f"target=edge_ids: which={which}, but edges have {len(spec.edge_categories)} ids here")
        self.which, self.width = which, spec.edge_categories[which]

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> int64 ``[U]`` in the order of ``layers.graphs.bonds.bonds_of``."""
        if where.index is None:
            raise ValueError("target=edge_ids describes edges of nodes; region=pooled has none")
        source = step.views[view].source
        attr = relation_of(source).attr
        assert attr is not None
        return attr[bonds_of(where.index, source), self.which]
