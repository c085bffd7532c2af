"""Alphabet: the names of token ids, which of them are special, and from which random replacements are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from maskedmod.errors import UserError


@dataclass(frozen=True)
class Alphabet:
    """``tokens``: the names of ids 0 to V-1, all different. ``cls`` and ``eos`` stand around every sequence, ``pad`` is never in
    a packed batch, ``mask`` hides, ``unk`` is any piece that has no id; None: the alphabet has no such token. ``standard``: ids
    from which random replacements are drawn (empty: all that are not special). UserError for ids that are not there."""

    tokens: tuple[str, ...]
    cls: int | None = None
    eos: int | None = None
    pad: int | None = None
    mask: int | None = None
    unk: int | None = None
    standard: tuple[int, ...] = ()
    also_special: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.tokens)) != len(self.tokens):
            twice = next(t for i, t in enumerate(self.tokens) if t in self.tokens[:i])
            raise UserError(f"alphabet: token {twice!r} stands there twice")
        ids = [
            i for i in (self.cls, self.eos, self.pad, self.mask, self.unk, *self.standard, *self.also_special) if i is not None
        ]
        if any(not 0 <= i < len(self.tokens) for i in ids):
            raise UserError(f"alphabet: ids are 0 to {len(self.tokens) - 1}, got {ids}")
        if not self.standard:
            object.__setattr__(self, "standard", tuple(i for i in range(len(self.tokens)) if i not in self.special))

    @classmethod
    def named(
        cls,
        tokens: Iterable[str],
        *,
        start: str | None = None,
        end: str | None = None,
        pad: str | None = None,
        mask: str | None = None,
        unk: str | None = None,
        standard: Iterable[str] = (),
        also_special: Iterable[str] = (),
    ) -> Alphabet:
        """The same, with special and standard tokens given by name. UserError for a name that is no token."""
        tokens = tuple(tokens)
        place = {token: i for i, token in enumerate(tokens)}

        def find(name: str) -> int:
            if name not in place:
                raise UserError(f"alphabet: there is no token {name!r}")
            return place[name]

        first, last, padding, hidden, other = (None if name is None else find(name) for name in (start, end, pad, mask, unk))
        drawn, further = tuple(find(name) for name in standard), tuple(find(name) for name in also_special)
        return cls(tokens, first, last, padding, hidden, other, drawn, further)

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def index(self) -> dict[str, int]:
        """Id of every token."""
        return {token: i for i, token in enumerate(self.tokens)}

    @cached_property
    def special(self) -> frozenset[int]:
        """Ids that no mask may hide: cls, eos, pad, mask and whatever was named beside them. ``unk`` is content."""
        return frozenset(i for i in (self.cls, self.eos, self.pad, self.mask, *self.also_special) if i is not None)

    def encode(self, pieces: Iterable[str], ends: bool = True) -> list[int]:
        """Ids of pieces, between ``cls`` and ``eos`` when ``ends`` (those that exist). A piece without an id is ``unk``; without
        ``unk`` it is a UserError."""
        ids = [] if self.cls is None or not ends else [self.cls]
        for piece in pieces:
            found = self.index.get(piece, self.unk)
            if found is None:
                raise UserError(f"{piece!r} is no token of this alphabet, which has no token for unknown pieces")
            ids.append(found)
        if ends and self.eos is not None:
            ids.append(self.eos)
        return ids

    def decode(self, ids: Sequence[int], specials: bool = False) -> list[str]:
        """Tokens of ids; cls, eos and pad are left out unless ``specials``."""
        out = {self.cls, self.eos, self.pad}
        return [self.tokens[i] for i in ids if specials or i not in out]
