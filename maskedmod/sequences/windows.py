"""Features of packed sequences of any length: windows that overlap, encoded a few at a time and put together again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.alphabet import Alphabet
from maskedmod.core.apply import Seen
from maskedmod.core.latent import Latent
from maskedmod.core.modality import Modality
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.sequences.packing import eligible_of, positions

AT_ONCE = 1 << 14
"""Tokens that are encoded at a time."""


def starts(length: int, most: int | None, overlap: int) -> list[int]:
    """First places of the windows of a sequence: every ``most - overlap`` places, the last one moved back to end with the
    sequence, so that all are full. One window when the sequence fits."""
    if most is None or length <= most:
        return [0]
    return [*range(0, length - most, most - overlap), length - most]


def owners(length: int, most: int | None, overlap: int) -> list[tuple[int, int, int]]:
    """``(start, first, end)`` of every window: it gives the values of places ``first`` to ``end`` of the sequence. A place
    belongs to the window whose centre is nearest, of two equally near ones to the earlier."""
    begins = starts(length, most, overlap)
    if most is None or len(begins) == 1:
        return [(0, 0, length)]
    # centres of windows a < b are at a + (most-1)/2 and b + (most-1)/2: the border lies half way, at (a + b + most - 1) / 2
    borders = [0, *((a + b + most - 1) // 2 + 1 for a, b in pairwise(begins)), length]
    return [(begin, borders[i], borders[i + 1]) for i, begin in enumerate(begins)]


def encode(encoder: nn.Module, tokens: Tokens, modality: Modality, layer: int | None = None) -> Latent:
    """What an encoder makes of whole, unmasked samples; ``layer``: the output of that block, before the final norm.

    Of packed sequences the latent holds the residues alone, ``[T, D]``; the class token, where the alphabet has one, is the
    prefix ``[S, 1, D]``. A sequence of more than the modality's ``max_length`` residues is cut into windows of that length which
    share ``overlap`` residues, each with class and end tokens of its own: a residue's value comes from the window whose centre is
    nearest (see ``owners``), the class token is the mean over the windows.
    """
    if not tokens.layout.packed or modality.alphabet is None:
        return _run(encoder, tokens, layer)
    cu = tokens.layout.cu_seqlens
    assert cu is not None
    most, overlap = getattr(modality, "max_length", None), getattr(modality, "overlap", 0)
    cut = _Cut(tokens, modality.alphabet, most, overlap)
    kept, classes, owner = [], [], []
    for group in cut.groups():
        latent = _run(encoder, cut.batch([piece for piece, *_ in group]), layer)
        at = 0
        for piece, keep, sequence in group:
            kept.append(latent.tokens[at + keep.start : at + keep.stop])
            if cut.has_class:
                classes.append(latent.tokens[at])
                owner.append(sequence)
            at += len(piece)
    lengths = torch.tensor(cut.lengths, dtype=torch.int32, device=tokens.device)
    ends = torch.cat([lengths.new_zeros(1), lengths.cumsum(0, dtype=torch.int32)])
    x = torch.cat(kept)
    prefix = _means(torch.stack(classes), owner, tokens.batch)[:, None] if cut.has_class else None
    return Latent(x, Layout(cu_seqlens=ends, max_seqlen=max(cut.lengths)), prefix, has_class=cut.has_class)


def inner(tokens: Tokens, modality: Modality) -> Tensor | None:
    """bool, True at the tokens that ``encode`` keeps: of packed sequences those between class and end token; None means all."""
    cu, alphabet = tokens.layout.cu_seqlens, modality.alphabet
    if cu is None or alphabet is None:
        return None
    kept = torch.ones(len(tokens.values), dtype=torch.bool, device=tokens.device)
    for ends, token in ((cu[:-1].long(), alphabet.cls), (cu[1:].long() - 1, alphabet.eos)):
        if token is not None and bool((tokens.values[ends] == token).all()):
            kept[ends] = False
    return kept


class _Cut:
    """The windows of a packed batch."""

    def __init__(self, tokens: Tokens, alphabet: Alphabet, most: int | None, overlap: int) -> None:
        cu = tokens.layout.cu_seqlens
        assert cu is not None
        self.tokens, self.alphabet, self.most, self.overlap = tokens, alphabet, most, overlap
        bounds = cu.tolist()
        self.ids = [tokens.values[a:b] for a, b in pairwise(bounds)]
        self.head = int(alphabet.cls is not None and all(int(ids[0]) == alphabet.cls for ids in self.ids))
        self.tail = int(alphabet.eos is not None and all(int(ids[-1]) == alphabet.eos for ids in self.ids))
        self.lengths = [len(ids) - self.head - self.tail for ids in self.ids]

    @property
    def has_class(self) -> bool:
        return self.head == 1

    def pieces(self) -> Iterator[tuple[Tensor, slice, int]]:
        """Ids of every window with its ends, the tokens of it that count, and the number of its sequence."""
        for number, (ids, length) in enumerate(zip(self.ids, self.lengths, strict=True)):
            for start, first, end in owners(length, self.most, self.overlap):
                stop = length if self.most is None else min(length, start + self.most)
                inner = ids[self.head + start : self.head + stop]
                whole = torch.cat([ids[: self.head], inner, ids[len(ids) - self.tail :]])
                yield whole, slice(self.head + first - start, self.head + end - start), number

    def groups(self) -> Iterator[list[tuple[Tensor, slice, int]]]:
        """Windows in their order, at most ``AT_ONCE`` tokens together."""
        group: list[tuple[Tensor, slice, int]] = []
        for entry in self.pieces():
            if group and sum(len(piece) for piece, *_ in group) + len(entry[0]) > AT_ONCE:
                yield group
                group = []
            group.append(entry)
        if group:
            yield group

    def batch(self, pieces: list[Tensor]) -> Tokens:
        ids = torch.cat(pieces)
        lengths = torch.tensor([0, *(len(piece) for piece in pieces)], dtype=torch.int32)
        layout = Layout(cu_seqlens=lengths.cumsum(0, dtype=torch.int32).to(ids.device), max_seqlen=int(lengths.max()))
        return Tokens(ids, positions(layout, len(ids)), layout, eligible_of(ids, self.alphabet))


def _run(encoder: Any, tokens: Tokens, layer: int | None) -> Latent:
    if layer is None:
        return encoder(Seen(tokens))  # type: ignore[no-any-return]
    taps = [f"block.{layer}"] + ([f"prefix.{layer}"] if getattr(encoder, "has_class", False) else [])
    latent = encoder(Seen(tokens), taps)
    prefix = latent.taps[taps[1]] if len(taps) > 1 else None
    return Latent(latent.taps[taps[0]], latent.layout, prefix, has_class=latent.has_class)


def _means(x: Tensor, owner: list[int], count: int) -> Tensor:
    place = torch.tensor(owner, device=x.device)
    total = x.new_zeros(count, x.shape[1]).index_add(0, place, x)
    return total / torch.bincount(place, minlength=count)[:, None]
