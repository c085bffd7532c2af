"""A codebook of unit vectors that follow the vectors they stand for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.core.context import Context

LLOYD = 10
"""Rounds of k-means on the first batch, as in the released code of BEiT v2."""


class EmaCodebook(nn.Module):
    """``vectors`` ``[K, D]``, each the moving average of the unit vectors nearest to it, brought back to length 1 (BEiT v2, Peng
    et al. 2022, section 2.2; van den Oord et al. 2017, appendix A.1). They start as the k-means of the first training batch, from
    samples drawn more than once where it has fewer than K. No gradient reaches them; a code that stood for nothing in a step
    stays. ``decay``: of the average, per optimiser step."""

    def __init__(self, codes: int, width: int, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.vectors: Tensor
        self.started: Tensor
        self.sums: Tensor
        self.register_buffer("vectors", F.normalize(torch.randn(codes, width), dim=-1))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self.register_buffer("sums", torch.zeros(codes, width + 1), persistent=False)
        self._ready = False

    @torch.no_grad()
    def codes(self, x: Tensor) -> Tensor:
        """Unit vectors ``[..., D]`` -> int64 ``[...]``, the nearest vector of each. In training they are counted for the next
        update."""
        flat = x.detach().flatten(0, -2).float()
        if self.training and not self._ready:
            self._start(flat)
        found = _nearest(flat, self.vectors)
        if self.training:
            self.sums += _sums(flat, found, len(self.vectors))
        return found.reshape(x.shape[:-1])

    @torch.no_grad()
    def after_step(self, ctx: Context) -> None:
        """Move every code that stood for something."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(self.sums)
        used = self.sums[:, -1:] > 0
        mean = F.normalize(self.sums[:, :-1], dim=-1)
        moved = F.normalize(self.vectors * self.decay + mean * (1 - self.decay), dim=-1)
        self.vectors.copy_(torch.where(used, moved, self.vectors))
        self.sums.zero_()

    def _start(self, x: Tensor) -> None:
        """k-means of the first batch; a run that goes on has it already."""
        if not x.is_meta and not self.started:  # on shapes alone there is nothing to start from
            count = len(self.vectors)
            enough = len(x) >= count
            drawn = (
                torch.randperm(len(x), device=x.device)[:count] if enough else torch.randint(len(x), (count,), device=x.device)
            )
            self.vectors.copy_(kmeans(x, drawn))
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.broadcast(self.vectors, 0)
            self.started.fill_(True)
        self._ready = True


def kmeans(x: Tensor, rows: Tensor) -> Tensor:
    """Unit vectors ``[K, D]`` in the middle of unit samples ``[S, D]``: they start at the samples ``rows`` ``[K]``; one that no
    sample is nearest to stays."""
    means = x[rows]
    for _ in range(LLOYD):
        sums = _sums(x, _nearest(x, means), len(means))
        means = torch.where(sums[:, -1:] > 0, F.normalize(sums[:, :-1], dim=-1), means)
    return means


def _nearest(x: Tensor, vectors: Tensor) -> Tensor:
    """Of unit vectors, the nearest is the one with the largest product."""
    return (x @ vectors.t()).argmax(-1)


def _sums(x: Tensor, codes: Tensor, count: int) -> Tensor:
    """Sum of the vectors of every code, and in the last column their number."""
    rows = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    return x.new_zeros(count, rows.shape[1]).index_add(0, codes, rows)
