"""Log probabilities that a masked language model gives at chosen places of many sequences: packed, by a budget of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from maskedmod.core.alphabet import Alphabet
from maskedmod.core.apply import Seen
from maskedmod.core.mask_set import Where
from maskedmod.core.masking import packed_from_masked
from maskedmod.core.modality import Modality
from maskedmod.core.model import MaskedModel, Objective
from maskedmod.core.step import View
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.errors import UserError
from maskedmod.sequences.packing import eligible_of, positions
from maskedmod.support.devices import device_of
from maskedmod.targets.token_ids import TokenIds

BATCH_TOKENS = 1 << 12
"""Tokens that are encoded at a time; memory grows with them."""


@dataclass(frozen=True)
class Look:
    """One sequence as the model is to see it. ``ids`` int64 ``[n]`` without cls and eos; ``places``: where its answer is wanted;
    ``hidden``: these places are masked, all others are seen."""

    ids: Tensor
    places: tuple[int, ...]
    hidden: bool = True


def alphabet_of(modality: Modality) -> Alphabet | None:
    """The alphabet; some modalities make theirs when ``letters`` is first asked for."""
    return modality.alphabet or getattr(modality, "letters", None)


class Likelihood:
    """Log probabilities over all ids, ``log_softmax`` over the whole vocabulary as in ESM's own code.

    Sequences stand between cls and eos, and each has the token dropout of its own masks. Only the wanted places go through the
    head. UserError for a model that does not predict the ids of its alphabet, or reads in one direction.
    """

    def __init__(self, model: MaskedModel, batch_tokens: int = BATCH_TOKENS) -> None:
        alphabet = alphabet_of(model.modality)
        found = [one for one in model.objectives.children() if isinstance(one, Objective) and isinstance(one.target, TokenIds)]
        if alphabet is None or alphabet.mask is None or not found:
            raise UserError("this needs a masked language model: a modality with an alphabet, and target=token_ids")
        if model.encoder.sees == "visible" or getattr(model.encoder, "causal", False):
            raise UserError("this needs an encoder that sees mask tokens and looks both ways (encoder.sees, encoder.causal)")
        if batch_tokens < 1:
            raise UserError(f"batch_tokens={batch_tokens}: must be at least 1")
        self.model, self.alphabet, self.head, self.batch_tokens = model, alphabet, found[0].head, batch_tokens
        self.before = torch.tensor([] if alphabet.cls is None else [alphabet.cls], dtype=torch.long)
        self.after = torch.tensor([] if alphabet.eos is None else [alphabet.eos], dtype=torch.long)

    def inner(self, ids: Tensor) -> Tensor:
        """Ids of a read sample without cls and eos."""
        return ids[len(self.before) : len(ids) - len(self.after)]

    @torch.no_grad()
    def __call__(self, looks: Iterable[Look]) -> Iterator[Tensor]:
        """float32 ``[len(places), V]`` on the CPU for every look, in their order; those of one batch are computed together."""
        for group in self._groups(looks):
            tokens, hidden, wanted = _packed(group, self.before, self.after, self.alphabet, device_of(self.model))
            latent = self.model.encoder(Seen(tokens, hidden=hidden))
            view = View(tokens, tokens, packed_from_masked(hidden), latent)
            scores = self.head(view, Where(wanted)).float().log_softmax(-1).cpu()
            yield from scores.split([len(look.places) for look in group])

    def _groups(self, looks: Iterable[Look]) -> Iterator[list[Look]]:
        group: list[Look] = []
        size, around = 0, len(self.before) + len(self.after)
        for look in looks:
            if group and size + len(look.ids) + around > self.batch_tokens:
                yield group
                group, size = [], 0
            group.append(look)
            size += len(look.ids) + around
        if group:
            yield group


def _packed(
    group: list[Look], before: Tensor, after: Tensor, alphabet: Alphabet, device: torch.device
) -> tuple[Tokens, Tensor, Tensor]:
    """Tokens of a batch, bool ``[L]`` hidden places, int64 ``[T]`` wanted places."""
    pieces, wanted, masked, at = [], [], [], 0
    for look in group:
        pieces += [before, look.ids, after]
        places = [at + len(before) + place for place in look.places]
        wanted += places
        masked += places if look.hidden else []
        at += len(before) + len(look.ids) + len(after)
    lengths = [0, *(len(before) + len(look.ids) + len(after) for look in group)]
    ids = torch.cat(pieces).to(device)
    cu = torch.tensor(lengths, dtype=torch.int32).cumsum(0, dtype=torch.int32).to(device)
    layout = Layout(cu_seqlens=cu, max_seqlen=max(lengths))
    tokens = Tokens(ids, positions(layout, len(ids)), layout, eligible_of(ids, alphabet))
    hidden = torch.zeros(len(ids), dtype=torch.bool)
    hidden[masked] = True
    return tokens, hidden.to(device), torch.tensor(wanted, device=device)
