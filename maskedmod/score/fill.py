"""What a masked language model would put at places that somebody hid."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from maskedmod.core.modality import BadSample, Record
from maskedmod.errors import UserError
from maskedmod.features.given import evaluating
from maskedmod.features.inputs import together
from maskedmod.features.vectors import tokens_of
from maskedmod.score.likelihood import Likelihood, Look
from maskedmod.zoo.loaded import Loaded


@dataclass(frozen=True)
class Filled:
    """``place``: of the hidden token, counted from 0 without cls. ``tokens``, the likeliest first, and their ``probabilities``
    among the whole vocabulary."""

    place: int
    tokens: tuple[str, ...]
    probabilities: tuple[float, ...]


def fill(loaded: Loaded, text: str, top: int = 5) -> list[Filled]:
    """The ``top`` likeliest tokens at every mask of ``text``, written ``<mask>`` or as the alphabet names it: residues of a
    protein, atoms and bonds of a SMILES, words or pieces of words of a text. All masks are hidden in one pass, each is answered
    without the others' answers. A blank in front of a mask belongs to it, as RoBERTa has it.

    UserError without a mask, for text that cannot be read or is too long, or a model without a masked-language head."""
    model = Likelihood(loaded.model)
    alphabet = model.alphabet
    assert alphabet.mask is not None
    if top < 1:
        raise UserError(f"top={top}: must be at least 1")
    names = {"<mask>", alphabet.tokens[alphabet.mask]}
    parts = re.split("|".join(re.escape(name) for name in sorted(names)), text)
    if len(parts) == 1:
        raise UserError(f"{text[:40]!r} hides nothing: write <mask> at the places to be filled")
    pieces = [_ids(loaded, model, part) for part in (*(part.rstrip() for part in parts[:-1]), parts[-1])]
    hidden = torch.tensor([alphabet.mask])
    ids = torch.cat([piece for own in pieces for piece in (own, hidden)][:-1])
    borders = np.cumsum([len(piece) for piece in pieces])[:-1]
    places = tuple(int(border) + number for number, border in enumerate(borders))
    limit: int | None = getattr(loaded.modality, "max_length", None)
    ends = 0 if "max_length" in loaded.modality.windowing else len(model.before) + len(model.after)
    if limit is not None and len(ids) + ends > limit:
        raise UserError(f"the text has {len(ids) + ends} tokens, modality.max_length is {limit}: give the part around the masks")
    with evaluating(loaded.model):
        (found,) = model([Look(ids, places)])
    content = torch.tensor([i for i in range(len(alphabet)) if i not in alphabet.special and i != alphabet.unk])
    best = found[:, content].exp().topk(min(top, len(content)), dim=1)
    return [
        Filled(place, tuple(alphabet.tokens[content[i]] for i in index.tolist()), tuple(values.tolist()))
        for place, values, index in zip(places, best.values, best.indices, strict=True)
    ]


def _ids(loaded: Loaded, model: Likelihood, part: str) -> Tensor:
    """Ids of what stands between two masks. A part of a SMILES is no molecule, so it is cut into tokens and not read as one; of a
    text nothing may be cut off."""
    if not part.strip():
        return torch.zeros(0, dtype=torch.long)
    encode = getattr(loaded.modality, "encode", None)
    if encode is None:
        batch = together(loaded.modality, Record(part, key=repr(part)), loaded.device)
        return model.inner(tokens_of(loaded.modality, batch, loaded.device).values.cpu())
    try:
        return model.inner(torch.tensor(encode(part)))
    except BadSample as error:
        raise UserError(f"{part!r}: {error}") from None
