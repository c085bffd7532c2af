"""Embedding of nodes that are categories."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class CategoryEmbedding(nn.Module):
    """Sum of one table per category (Hu et al. 2020): int64 ``[..., C]`` -> ``[..., width]``. ``sizes`` of the categories; the
    last entry of the first one is a masked node's. Tables start Xavier-uniform."""

    def __init__(self, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size in sizes)
        for table in self.tables:
            nn.init.xavier_uniform_(table.weight)  # type: ignore[arg-type]

    def forward(self, ids: Tensor) -> Tensor:
        out: Tensor = self.tables[0](ids[..., 0])
        for i, table in enumerate(self.tables[1:], 1):
            out = out + table(ids[..., i])
        return out
