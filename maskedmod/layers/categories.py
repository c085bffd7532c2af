"""Things that are described by several ids at once: atoms, bonds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CategoryEmbedding(nn.Module):
    """The sum of one vector per id (Hu et al. 2020, appendix A): int64 ``[..., C]`` -> ``[..., width]``.

    ``sizes``: how many values each of the C ids has. The first table has one more row, that of a hidden thing, whose other ids
    are 0. First values: Xavier uniform.
    """

    def __init__(self, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.hidden = sizes[0]
        rows = [sizes[0] + 1, *sizes[1:]]
        self.tables = nn.ParameterList(nn.init.xavier_uniform_(torch.empty(count, width)) for count in rows)

    def forward(self, ids: Tensor) -> Tensor:
        out = F.embedding(ids[..., 0], self.tables[0])
        for i, table in enumerate(list(self.tables)[1:], start=1):
            out = out + F.embedding(ids[..., i], table)
        return out

    def hide(self, ids: Tensor, hidden: Tensor | None) -> Tensor:
        """ids, where ``hidden`` (bool ``[...]``) those of a hidden thing."""
        return ids if hidden is None else hide_ids(ids, hidden, self.hidden)


def hide_ids(ids: Tensor, hidden: Tensor, first: int) -> Tensor:
    """ids int64 ``[..., C]`` with ``first`` and zeros where ``hidden`` (bool ``[...]``)."""
    instead = ids.new_zeros(ids.shape[-1])
    instead[0] = first
    return torch.where(hidden[..., None], instead, ids)
