"""Tokens: a signal cut up, with positions, in one of two layouts.

Letters in shapes, here and everywhere: ``B`` samples, ``K`` masks per sample, ``M = B*K`` rows (sample-major: row ``b*K + k``),
``N`` tokens, ``n`` visible tokens, ``J`` target sets, ``T`` targets per set, ``D`` width, ``P`` values per token, ``A`` position
axes, ``S`` sequences of a packed batch, ``L`` tokens of a packed batch in all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """How tokens lie in memory. Two layouts and no third.

    *dense*: ``[B, N, ...]`` with an optional ``valid`` mask ``[B, N]`` (False = padding: never a key, target or counted).
    *packed*: ``[L, ...]`` with ``cu_seqlens`` int32 ``[S+1]``; no padding exists.
    ``grid`` is the row-major lattice that integer positions refer to: ``(H, W)``, ``(T, F)``, ``(T, H, W)``, ``(L,)``; a gathered
    subset keeps the lattice of the whole.
    """

    grid: tuple[int, ...] | None = None
    valid: Tensor | None = None
    cu_seqlens: Tensor | None = None
    max_seqlen: int = 0

    @property
    def packed(self) -> bool:
        return self.cu_seqlens is not None

    def segments(self) -> Tensor:
        """Sequence number of every packed token, int64 ``[L]``."""
        assert self.cu_seqlens is not None
        lengths = self.cu_seqlens.diff().long()
        return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)


@dataclass(frozen=True)
class Relation:
    """Edges that ride along with packed tokens (graphs). Can itself be masked, sampled and given to a head.

    ``edge_index`` int64 ``[2, E]`` (source, target); ``attr`` ``[E, ...]``; ``kept`` bool ``[E]``, False = hidden.
    """

    edge_index: Tensor
    attr: Tensor | None = None
    kept: Tensor | None = None


@dataclass(frozen=True)
class Tokens:
    """A signal cut into tokens by a modality: no parameter was used, so a mask may still change the values.

    ``values``: ``[B, N, P]`` floats, or ids int64 ``[B, N]`` (packed: ``[L, P]`` / ``[L]``); a modality may hold any other
    trailing shape that its own embedding reads (point groups ``[B, N, S, 3]``).
    ``pos``: ``[B, N, A]`` grid indices, coordinates or sequence index; separable from content.
    ``eligible``: bool ``[B, N]``, may be masked (None = all valid ones).
    """

    values: Tensor
    pos: Tensor
    layout: Layout = field(default_factory=Layout)
    eligible: Tensor | None = None
    relation: Relation | None = None

    @property
    def device(self) -> torch.device:
        return self.values.device

    @property
    def shape(self) -> tuple[int, ...]:
        """``(B, N)`` when dense, ``(L,)`` when packed."""
        return tuple(self.values.shape[: 1 if self.layout.packed else 2])

    @property
    def batch(self) -> int:
        """Number of samples (dense) or sequences (packed)."""
        cu = self.layout.cu_seqlens
        return self.shape[0] if cu is None else len(cu) - 1

    def maskable(self) -> Tensor | None:
        """bool, True where a mask may fall; None when it may fall everywhere."""
        valid, eligible = self.layout.valid, self.eligible
        if valid is None or eligible is None:
            return valid if eligible is None else eligible
        return valid & eligible

    def repeat(self, k: int) -> Tokens:
        """Every sample ``k`` times, sample-major (dense) or the whole batch ``k`` times (packed)."""
        if k == 1:
            return self
        lay = self.layout
        if lay.packed:
            return self._tile_packed(k)

        def rep(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.repeat_interleave(k, dim=0)

        values, pos = rep(self.values), rep(self.pos)
        assert values is not None and pos is not None
        return replace(self, values=values, pos=pos, eligible=rep(self.eligible), layout=replace(lay, valid=rep(lay.valid)))

    def _tile_packed(self, k: int) -> Tokens:
        lay, total = self.layout, self.shape[0]
        assert lay.cu_seqlens is not None
        cu = lay.cu_seqlens
        steps = [cu] + [cu[1:] + total * i for i in range(1, k)]
        relation = self.relation
        if relation is not None:
            edges = torch.cat([relation.edge_index + total * i for i in range(k)], dim=1)
            attr = None if relation.attr is None else torch.cat([relation.attr] * k)
            kept = None if relation.kept is None else torch.cat([relation.kept] * k)
            relation = Relation(edges, attr, kept)
        return Tokens(
            values=torch.cat([self.values] * k),
            pos=torch.cat([self.pos] * k),
            layout=replace(lay, cu_seqlens=torch.cat(steps)),
            eligible=None if self.eligible is None else torch.cat([self.eligible] * k),
            relation=relation,
        )


def take(x: Tensor, index: Tensor) -> Tensor:
    """Gather tokens. Dense: x ``[B, N, ...]``, index ``[B*K, *I]`` -> ``[B*K, *I, ...]``, with no copy of x when K > 1.
    Packed: x ``[L, ...]``, index ``[T]`` -> ``[T, ...]``."""
    if index.ndim == 1:
        return x[index]
    b, tail = x.shape[0], x.shape[2:]
    assert index.shape[0] % b == 0, f"index rows {index.shape[0]} are no multiple of batch {b}"
    flat = index.reshape(b, -1)
    picked = x.gather(1, flat.reshape(*flat.shape, *[1] * len(tail)).expand(*flat.shape, *tail))
    return picked.reshape(*index.shape, *tail)
