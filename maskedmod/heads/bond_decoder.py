"""One layer of message passing from codes back to atoms."""

from __future__ import annotations

from torch import Tensor, nn

from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.layers.graphs.bond_gin import BondGin
from maskedmod.layers.graphs.bond_neighbours import Neighbourhood
from maskedmod.layers.graphs.bonds import relation_of


class BondDecoder(Head):
    """PReLU, a linear map without bias, and one ``BondGin`` over the molecule's own bonds (GraphMAE on molecules, Hou et al.
    2022; Mole-BERT's tokenizer, Xia et al. 2023). It gives the atoms that are asked for; bonds that a mask hid are hidden here
    too. ``remask``: hidden atoms enter as exact zeros, whatever the encoder made of them (GraphMAE, section 3.2)."""

    reads_hidden = True

    def __init__(self, spec: Spec, remask: bool = False) -> None:
        super().__init__()
        if not spec.edge_categories:
            raise ValueError("head=bond_decoder reads bonds with ids, which this modality does not give")
        self.sizes, self.remask = spec.edge_categories, remask
        self.activation = nn.PReLU()
        self.embed = nn.Linear(spec.width, spec.width, bias=False)
        self.layer = BondGin(spec.width, spec.target, spec.edge_categories)

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[T, target]``."""
        if where.index is None or view.student.index is not None:
            raise ValueError("head=bond_decoder needs the encoder's output at all atoms, and predicts atoms")
        relation = relation_of(view.mask.rewrite(view.rows))
        x = self.embed(self.activation(view.student.tokens))
        if self.remask:
            x = x.masked_fill(view.mask.hidden[:, None], 0.0)
        around = Neighbourhood.of(relation, len(x), self.sizes)
        return self.layer(x, around)[where.index]  # type: ignore[no-any-return]

    def units(self) -> list[nn.Module]:
        return [self.layer]
