"""GIN, GCN, GAT or GraphSAGE over molecules: they read the ids of atoms and of bonds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.core.apply import Seen, Sees
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.latent import Latent
from maskedmod.core.spec import Spec
from maskedmod.layers.categories import CategoryEmbedding
from maskedmod.layers.graphs.bond_layers import BondLayer, make_bond_layer
from maskedmod.layers.graphs.bond_neighbours import Neighbourhood
from maskedmod.layers.graphs.bonds import relation_of


class GinBonds(Encoder):
    """The graph network of pretrain-gnns (Hu et al. 2020, section 5.1 and appendix A), also that of Mole-BERT and of GraphMAE on
    molecules: ``depth`` layers of message passing and BatchNorm, with ReLU after all but the last.

    ``layer``: what passes the messages, ``gin``, ``gcn``, ``graphsage`` or ``gat`` with ``heads`` heads (section 5.1). ``jump``:
    what a node is represented by (Xu et al. 2018): its ``last`` layer, the ``sum`` or maximum (``max``) of all layers and the
    embedding, or all of them side by side (``concat``). ``dropout``: after every layer. ``sees``: mask_token gives hidden atoms
    the ids of a hidden atom; visible is for encoders without neighbours. Of several masks per molecule each is a batch of its
    own to BatchNorm.
    """

    def __init__(
        self,
        spec: Spec,
        embedding: Callable[[int], nn.Module],
        depth: int = 5,
        width: int = 300,
        sees: Sees = "mask_token",
        jump: Literal["last", "sum", "max", "concat"] = "last",
        dropout: float = 0.0,
        layer: BondLayer = "gin",
        heads: int = 2,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"encoder.depth must be at least 1, not {depth}")
        if sees == "visible":
            raise ValueError("encoder.sees=visible would cut bonds; gin_bonds takes mask_token, corrupt or full")
        if not spec.edge_categories:
            raise ValueError("gin_bonds reads ids of atoms and bonds, which this modality does not give; use molecular_graph")
        self.sees, self.jump = sees, jump
        self.width = width * (depth + 1) if jump == "concat" else width
        self.sizes = spec.edge_categories
        self.embed = embedding(width)
        last = depth - 1
        self.layers = nn.ModuleList(
            Layer(width, make_bond_layer(layer, width, width, self.sizes, heads), i < last, dropout) for i in range(depth)
        )

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """Packed atoms ``[L, C]`` with bonds -> ``[L, D]``; taps: ``block.i``, output of layer i, negative from the end."""
        tokens, embed = seen.tokens, self.embed
        assert isinstance(embed, CategoryEmbedding)
        x = embed(embed.hide(tokens.values, seen.hidden))
        around = Neighbourhood.of(relation_of(tokens), len(x), self.sizes)
        parts = 1 if seen.mask is None else seen.mask.per_sample
        outputs = [x]
        for layer in self.layers:
            outputs.append(layer(outputs[-1], around, parts))
        tapped = {tap: outputs[1:][self._number(tap)] for tap in taps}
        return Latent(self._jumped(outputs), tokens.layout, index=seen.index, taps=tapped)

    def units(self) -> list[nn.Module]:
        return list(self.layers)

    def _jumped(self, outputs: list[Tensor]) -> Tensor:
        if self.jump == "last":
            return outputs[-1]
        if self.jump == "concat":
            return torch.cat(outputs, dim=1)
        stacked = torch.stack(outputs)
        return stacked.sum(0) if self.jump == "sum" else stacked.amax(0)

    def _number(self, tap: str) -> int:
        kind, _, number = tap.partition(".")
        depth = len(self.layers)
        if kind != "block" or not -depth <= int(number or depth) < depth:
            raise ValueError(f"tap {tap!r}: expected block.i with i below {depth}")
        return int(number)


class Layer(nn.Module):
    """Message passing, BatchNorm, ReLU unless it is the last layer, dropout."""

    def __init__(self, width: int, messages: nn.Module, active: bool, dropout: float) -> None:
        super().__init__()
        self.gin = messages  # whatever it is: the name that checkpoints know it by
        self.norm = nn.BatchNorm1d(width)
        self.active, self.dropout = active, dropout

    def forward(self, x: Tensor, around: Neighbourhood, parts: int = 1) -> Tensor:
        """``[L, D]`` -> ``[L, D]``; ``parts``: equal parts of the rows that are normalised one by one."""
        x = self.gin(x, around)
        x = self.norm(x) if parts == 1 else torch.cat([self.norm(part) for part in x.chunk(parts)])
        return F.dropout(F.relu(x) if self.active else x, self.dropout, self.training)
