"""Making a MaskSet: from noise, from booleans, from index lists. Mask blocks use it; published masks are rebuilt with it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from maskedmod.core.mask_set import DROPPED, IGNORED, PREDICT, VISIBLE, MaskSet
from maskedmod.core.tokens import Tokens

Count = Literal["keep_int", "mask_int", "mask_ceil", "mask_round", "mask_chance"]
"""How a share becomes a number: keep int(N (1-r)) (MAE); mask int(N r) (Point-MAE), ceil(N r) (SimMIM), round(N r), int(N r + u)
with u uniform below 1, so that the mean is exact (fairseq; packed sequences only)."""


def masked_count(n: int, ratio: float, rule: Count) -> int:
    """Number of hidden tokens out of n."""
    if rule == "mask_chance":
        raise ValueError("mask.count=mask_chance is for packed sequences, which may hide different numbers of tokens")
    if rule == "keep_int":
        return n - int(n * (1 - ratio))
    if rule == "mask_int":
        return int(n * ratio)
    return math.ceil(n * ratio) if rule == "mask_ceil" else round(n * ratio)


def masked_counts(n: Tensor, ratio: float | Tensor, rule: Count, chance: Tensor | None = None) -> Tensor:
    """The same for a tensor of numbers, on its device, in the arithmetic of Python floats; ``ratio``: one, or float64 like n.
    ``chance``: u of ``mask_chance``."""
    exact = n.double()
    if rule == "mask_chance":
        assert chance is not None
        return (exact * ratio + chance).floor().long()
    if rule == "keep_int":
        return n - (exact * (1 - ratio)).floor().long()
    if rule == "mask_int":
        return (exact * ratio).floor().long()
    return (exact * ratio).ceil().long() if rule == "mask_ceil" else (exact * ratio).round().long()


def from_noise(
    noise: Tensor, ratio: float, rows: Tokens | None = None, count: Count = "keep_int", per_sample: int = 1
) -> MaskSet:
    """Keep the tokens of smallest noise ``[M, N]``, in the order of their noise; hide the rest (MAE's random masking).

    ``rows`` gives validity and eligibility: then the number hidden is the rule applied to each row's own eligible tokens, and
    the lists are padded to the size of a full row (shapes do not depend on the data).
    """
    m, n = noise.shape
    maskable = None if rows is None else rows.maskable()
    if maskable is None:
        keep_n = n - masked_count(n, ratio, count)
        order = noise.argsort(dim=1)
        keep, hide = order[:, :keep_n], order[:, keep_n:]
        role = torch.full((m, n), PREDICT, dtype=torch.int8, device=noise.device).scatter(1, keep, VISIBLE)
        return MaskSet(role, keep, hide[:, None], per_sample=per_sample)
    assert rows is not None
    valid = rows.layout.valid if rows.layout.valid is not None else torch.ones_like(maskable)
    row_hidden = masked_counts(maskable.sum(1), ratio, count)
    # order: fixed visible tokens, maskable by noise, padding
    rank = torch.where(maskable, noise.clamp(0, 1) + 1, 0.0).masked_fill(~valid, 3.0)
    order = rank.argsort(dim=1, stable=True)
    row_kept = valid.sum(1) - row_hidden
    most_hidden = masked_count(n, ratio, count)
    most_kept = n - most_hidden if rows.eligible is None else n
    return _from_order(order, row_kept, row_hidden, most_kept, most_hidden, per_sample, rows.layout.valid is not None)


def _from_order(
    order: Tensor, keep_n: Tensor, hidden_n: Tensor, most_kept: int, most_hidden: int, per_sample: int, pads: bool
) -> MaskSet:
    """Rows ordered as (kept, hidden, padding) -> lists padded to ``most_kept`` and ``most_hidden``."""
    n = order.shape[1]
    place = torch.arange(n, device=order.device)
    keep, keep_valid = order[:, :most_kept], place[:most_kept] < keep_n[:, None]
    at = (keep_n[:, None] + place[:most_hidden]).clamp(max=n - 1)
    targets, target_valid = order.gather(1, at), place[:most_hidden] < hidden_n[:, None]
    ranked = torch.where(place < keep_n[:, None], VISIBLE, PREDICT)
    ranked = torch.where(place < (keep_n + hidden_n)[:, None], ranked, DROPPED).to(torch.int8)
    role = torch.empty_like(ranked).scatter(1, order, ranked)
    return MaskSet(role, keep, targets[:, None], keep_valid, target_valid[:, None], per_sample=per_sample, drops=pads)


def from_masked(masked: Tensor, most: int | None = None, fewest: int | None = None, per_sample: int = 1) -> MaskSet:
    """From bool ``[M, N]``, True = hidden and predicted (``bool_masked_pos`` of BEiT, SimMIM). Lists are in position order.

    ``most`` and ``fewest`` are the bounds of hidden tokens per row when the maker knows them; unknown, they are read from the
    device. Rows with different numbers are padded.
    """
    n = masked.shape[1]
    counts = masked.sum(1)
    if most is None or fewest is None:
        most, fewest = int(counts.max()), int(counts.min())
    order = masked.to(torch.uint8).argsort(dim=1, stable=True)
    if most == fewest:
        role = masked.to(torch.int8)
        return MaskSet(role, order[:, : n - most], order[:, None, n - most :], per_sample=per_sample)
    return _from_order(order, n - counts, counts, n - fewest, most, per_sample, pads=False)


def from_masked_rows(masked: Tensor, rows: Tokens, per_sample: int = 1) -> MaskSet:
    """As ``from_masked``, where only maskable tokens of ``rows`` are hidden and padding is dropped."""
    maskable = rows.maskable()
    if maskable is None:
        return from_masked(masked, per_sample=per_sample)
    masked = masked & maskable
    valid = rows.layout.valid if rows.layout.valid is not None else torch.ones_like(masked)
    rank = masked.to(torch.uint8) + 2 * (~valid).to(torch.uint8)
    order = rank.argsort(dim=1, stable=True)
    hidden_n = masked.sum(1)
    keep_n = valid.sum(1) - hidden_n
    return _from_order(order, keep_n, hidden_n, int(keep_n.max()), int(hidden_n.max()), per_sample, pads=True)


def from_lists(n: int, keep: Tensor, targets: Tensor, per_sample: int = 1) -> MaskSet:
    """From kept positions ``[M, n]`` and target sets ``[M, J, T]`` out of N (I-JEPA): tokens in neither are dropped; a token in
    both stays visible and is predicted all the same."""
    role = torch.full((keep.shape[0], n), DROPPED, dtype=torch.int8, device=keep.device)
    role = role.scatter(1, targets.flatten(1), PREDICT).scatter(1, keep, VISIBLE)
    return MaskSet(role, keep, targets, per_sample=per_sample, drops=True)


def packed_from_masked(masked: Tensor, per_sample: int = 1) -> MaskSet:
    """From bool ``[L]`` over packed tokens. The number of hidden tokens is read from the device (ragged by nature)."""
    return MaskSet(masked.to(torch.int8), (~masked).nonzero()[:, 0], masked.nonzero()[:, 0], per_sample=per_sample)


def packed_at_places(rows: Tokens, places: Tensor, allowed: Tensor | None = None) -> MaskSet:
    """Hide the same ``places`` (bool ``[longest]``) of every packed sequence, of ``allowed`` tokens (bool ``[L]``) alone. What is
    hidden of a sequence that keeps no visible token is asked for by no loss."""
    cu = rows.layout.cu_seqlens
    assert cu is not None
    segment = rows.layout.segments()
    masked = places[torch.arange(len(segment), device=cu.device) - cu.long()[segment]]
    masked = masked if allowed is None else masked & allowed
    seen = torch.zeros(rows.batch, device=cu.device).index_add(0, segment, (~masked).float())
    lost = masked & (seen[segment] == 0)
    mask = packed_from_masked(masked)
    return replace(mask, role=mask.role.masked_fill(lost, IGNORED), targets=(masked & ~lost).nonzero()[:, 0])


def ignore_some(mask: MaskSet, chosen: Tensor) -> MaskSet:
    """Hidden tokens in ``chosen`` (bool ``[M, N]``) are encoded as hidden but left out of the loss."""
    role = torch.where(chosen & (mask.role == PREDICT), IGNORED, mask.role.long()).to(torch.int8)
    asked = role.gather(-1, mask.targets.flatten(1)).reshape(mask.targets.shape) == PREDICT
    valid = asked if mask.target_valid is None else asked & mask.target_valid
    mask.role, mask.target_valid = role, valid
    return mask


def smallest(noise: Tensor, asked: Tensor, eligible: Tensor, segment: Tensor) -> Tensor:
    """bool ``[L]``: in every sequence the ``asked`` ``[S]`` eligible tokens of smallest noise ``[L]`` in [0, 1]; at equal noise
    the earlier one. ``segment`` int64 ``[L]``, ascending, is the sequence of every token."""
    # double: with many sequences the fraction would drown in float32
    order = (segment.double() * 4.0 + torch.where(eligible, 0.0, 2.0) + noise.double()).argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    sizes = torch.zeros(len(asked), dtype=torch.long, device=order.device).index_add(0, segment, torch.ones_like(segment))
    starts = sizes.cumsum(0) - sizes
    return rank - starts[segment] < asked[segment]
