"""Tokens, MaskSet, Latent, Goal: the only values that cross the borders between blocks.

Letters in shapes: ``B`` samples, ``K`` masks per sample, ``M = B*K`` rows (sample-major: row ``b*K + k``), ``N`` tokens,
``n`` visible tokens, ``J`` target sets, ``T`` targets per set, ``D`` width, ``P`` values per token, ``A`` position axes,
``S`` sequences of a packed batch, ``L`` tokens of a packed batch in all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

VISIBLE, PREDICT, IGNORED, DROPPED = 0, 1, 2, 3
"""Roles of a token: seen; hidden and predicted; hidden and left out of the loss; neither encoded nor predicted."""

MASKED, RANDOM, KEPT = 1, 2, 3
"""Corruption codes of BERT-like input: replaced by the mask token; by another token; left as it is. 0 is untouched."""

Region = Literal["masked", "visible", "all", "pooled"]


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


@dataclass(frozen=True)
class Visibility:
    """Who may attend to whom, as a small value that a kernel understands, never an ``[N, N]`` field.

    ``causal``: token i sees tokens j <= i of its sequence. ``prefix``: the first ``prefix`` tokens are seen by all.
    ``order``: int ``[B, N]``, generation rank of every token (permuted orders, parallel segments): i sees j when
    ``order[j] < order[i]``, or at equal rank when ``same_rank``.
    """

    causal: bool = False
    prefix: int = 0
    order: Tensor | None = None
    same_rank: bool = True


@dataclass(frozen=True)
class Where:
    """Positions that a head predicts and a target describes.

    Dense: ``index`` int64 ``[M, J, T]`` into the N tokens; ``weight`` ``[M, J, T]`` (0 = padding of the list), None = all 1.
    Packed: ``index`` int64 ``[T]`` into the L tokens. ``index`` None means one pooled vector per sample, or with ``at``
    ``[M, J, T, A]`` places of the signal that are no tokens.
    """

    index: Tensor | None
    weight: Tensor | None = None
    at: Tensor | None = None


@dataclass
class MaskSet:
    """What a mask decided, for ``M = B*K`` rows. Made by mask blocks, or by hand (``from_noise``, ``from_masked``).

    ``role`` int8 ``[M, N]`` (packed ``[L]``); ``keep`` int64 ``[M, n]`` visible positions in the order the encoder gets
    them (packed ``[n]``), ``keep_valid`` bool ``[M, n]`` where counts differ; ``targets`` int64 ``[M, J, T]`` (packed
    ``[T]``), ``target_valid`` likewise. ``code`` int8 like role: BERT-like corruption. ``weight`` float like role: loss
    weight of every token. ``visibility``: autoregressive order. ``per_sample``: K. ``drops``: some roles are DROPPED (a plain
    bool, so that nobody reads the device to find out).
    What one family alone needs (mixing sources, generator samples, pyramids) is a subclass.
    """

    role: Tensor
    keep: Tensor
    targets: Tensor
    keep_valid: Tensor | None = None
    target_valid: Tensor | None = None
    code: Tensor | None = None
    weight: Tensor | None = None
    visibility: Visibility | None = None
    per_sample: int = 1
    drops: bool = False

    @property
    def packed(self) -> bool:
        return self.role.ndim == 1

    @property
    def hidden(self) -> Tensor:
        """bool like role: content the encoder must not see."""
        return self.role != VISIBLE

    def present(self, valid: Tensor | None) -> Tensor | None:
        """Valid tokens that were not dropped, None = all of them."""
        if not self.drops:
            return valid
        kept = self.role != DROPPED
        return kept if valid is None else valid & kept

    def rewrite(self, rows: Tokens) -> Tokens:
        """Tokens whose content the mask itself changed, before anything is gathered: the same here; a subclass mixes samples,
        adds noise, or puts in what a generator drew."""
        return rows

    def source(self, rows: Tokens) -> Tokens:
        """Tokens that the indices of this mask point into: rows, with their true content; a subclass adds some."""
        return rows

    def randomised(self, rows: Tokens, where: Tensor) -> Tokens:
        """Content of a random token of the batch at every place in ``where`` (drawn by torch's generator, seeded per step); a
        subclass puts in what it drew itself."""
        flat = rows.values.reshape(where.numel(), *rows.values.shape[where.ndim :])
        source = torch.randint(len(flat), (len(flat),), device=flat.device)
        pick = where.reshape(-1, *[1] * (flat.ndim - 1))
        return replace(rows, values=torch.where(pick, flat[source], flat).reshape(rows.values.shape))

    def at(self, level: int) -> MaskSet:
        """The same mask at a pyramid level; an isotropic mask has level 0 only."""
        if level != 0:
            raise ValueError(f"this mask has one level, level {level} was asked; use a multi_scale mask")
        return self

    def where(self, region: Region) -> Where:
        """Positions of a region with their loss weights."""
        if region == "pooled":
            return Where(None)
        if region == "masked":
            index, valid = self.targets, self.target_valid
        elif region == "visible":
            wide = None if self.keep_valid is None else self.keep_valid[:, None]
            index, valid = (self.keep, None) if self.packed else (self.keep[:, None], wide)
        else:
            n = self.role.shape[-1]
            index = torch.arange(n, device=self.role.device)
            valid = None
            if not self.packed:
                index = index.expand(self.role.shape[0], 1, n)
                valid = (self.role != DROPPED)[:, None]
        weight = None if valid is None else valid.float()
        if self.weight is not None:
            picked = take(self.weight, index)
            weight = picked if weight is None else picked * weight
        return Where(index, weight)

    def only(self, where: Where, number: int) -> Where:
        """Those of positions that belong to mask ``number`` of each sample, from 0; the others count for nothing. ValueError for
        a number that there is not, and for pooled vectors, of which losses choose themselves."""
        if where.index is None or not 0 <= number < self.per_sample:
            raise ValueError(f"mask {number} of {self.per_sample} masks per sample, region pooled or not: there is no such place")
        if self.packed:
            size = len(self.role) // self.per_sample  # the batch once for every mask
            mine = (where.index >= number * size) & (where.index < (number + 1) * size)
            return Where(where.index[mine], None if where.weight is None else where.weight[mine])
        row = torch.arange(len(self.role), device=self.role.device) % self.per_sample == number
        weight = row[:, None, None].expand(where.index.shape).float()
        return Where(where.index, weight if where.weight is None else weight * where.weight)


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


@dataclass
class Latent:
    """What an encoder returns.

    ``tokens`` ``[M, n, D]`` (packed ``[n, D]``), without prefix tokens; ``prefix`` ``[M, p, D]`` class and register tokens;
    ``index`` int64 ``[M, n]`` input position of every token (None = all N in order); ``layout`` of these n tokens;
    ``levels``: pyramid stages, each Tokens; ``taps``: named intermediate tensors that somebody asked for
    (``"block.3"``: output of block 3, ``"prefix.3"``: the prefix tokens there, ``"mlp.3"``: its MLP branch,
    ``"attention.3"``: its attention maps).
    """

    tokens: Tensor
    layout: Layout = field(default_factory=Layout)
    prefix: Tensor | None = None
    index: Tensor | None = None
    levels: tuple[Tokens, ...] = ()
    taps: dict[str, Tensor] = field(default_factory=dict)
    has_class: bool = False

    def mean(self) -> Tensor:
        """Mean over valid tokens, ``[M, D]`` (packed: one row a sequence, ``[S, D]``)."""
        lay, x = self.layout, self.tokens
        if lay.cu_seqlens is not None:
            seg = lay.segments()
            count = lay.cu_seqlens.diff().clamp(min=1).to(x.dtype)
            total = x.new_zeros(len(count), *x.shape[1:]).index_add(0, seg, x)
            return total / count.reshape(-1, *[1] * (x.ndim - 1))
        if lay.valid is None:
            return x.mean(1)
        w = lay.valid.to(x.dtype)[..., None]
        return (x * w).sum(1) / w.sum(1).clamp(min=1)

    def total(self) -> Tensor:
        """Sum over valid tokens, shapes as of ``mean``."""
        lay, x = self.layout, self.tokens
        if lay.cu_seqlens is not None:
            return x.new_zeros(len(lay.cu_seqlens) - 1, *x.shape[1:]).index_add(0, lay.segments(), x)
        return (x if lay.valid is None else x * lay.valid.to(x.dtype)[..., None]).sum(1)

    def largest(self) -> Tensor:
        """Largest value over valid tokens, ``[M, D]`` (packed: one row a sequence, ``[S, D]``)."""
        lay, x = self.layout, self.tokens
        if lay.cu_seqlens is not None:
            rows = lay.segments()[:, None].expand_as(x)
            return x.new_zeros(len(lay.cu_seqlens) - 1, x.shape[1]).scatter_reduce(0, rows, x, "amax", include_self=False)
        return (x if lay.valid is None else x.masked_fill(~lay.valid[..., None], -torch.inf)).amax(1)

    def pooled(self) -> Tensor:
        """Class token when there is one, else the mean over tokens."""
        if self.prefix is not None and self.has_class:
            return self.prefix[:, 0]
        return self.mean()


@dataclass(frozen=True)
class Spec:
    """Widths and sizes that blocks need of one another, so that none is written twice in a recipe.

    ``values``: P, numbers per token; ``axes``: A, position axes; ``grid``: lattice when it is fixed; ``vocab``: number of ids
    when tokens are ids; ``patch``: extent of a token on each axis; ``channels``; ``width``: D of the encoder;
    ``sees``: how the encoder's input is masked (its latent is partial when ``visible``); ``teacher``: D of the teacher;
    ``target``: width of the target (or number of classes). ``categories``: where a token has several ids (values int64
    ``[..., C]``), how many values each has; ``edge_categories``: the same of the attributes of edges. ``levels``: D of every
    level of a pyramid encoder, finest first.
    """

    values: int
    axes: int
    grid: tuple[int, ...] | None = None
    vocab: int | None = None
    patch: tuple[int, ...] = ()
    channels: int = 1
    width: int = 0
    sees: str = "visible"
    teacher: int = 0
    target: int = 0
    categories: tuple[int, ...] = ()
    edge_categories: tuple[int, ...] = ()
    levels: tuple[int, ...] = ()
