"""Labels of single tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskedmod.core.modality import Modality
from maskedmod.core.tokens import Tokens
from maskedmod.errors import UserError
from maskedmod.evaluate.labels import Labels, minus_one, missing
from maskedmod.sequences.windows import inner

UNKNOWN, BEYOND = -1, -2
"""A token without a label; padding after a sample's last token."""


def is_per_token(raw: Sequence[Any]) -> bool:
    """Lists that cannot be 0-or-1 answers to the same questions: of several lengths, or with other values."""
    lists = [label for label in raw if isinstance(label, list | tuple | np.ndarray)]
    if not lists:
        return False
    lengths = {len(label) for label in lists}
    return len(lengths) > 1 or any(not _unknown(one) and one not in (0, 1) for label in lists for one in label)


def encode_tokens(raw: Sequence[Any], keys: Sequence[str]) -> Labels:
    """Classes of tokens: ``y`` int64 ``[n, longest]``, ``UNKNOWN`` where a label is missing, ``BEYOND`` after the end."""
    for label, key in zip(raw, keys, strict=True):
        if not isinstance(label, list | tuple | np.ndarray):
            raise UserError(f"{key}: label {label!r}; task=tokens expects a list with a class for every token")
    found = {str(one) for label in raw for one in label if not _unknown(one)}
    names = sorted(found, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    number = {name: i for i, name in enumerate(names)}
    if not names:
        raise UserError("no token has a label")
    y = torch.full((len(raw), max(len(label) for label in raw)), BEYOND)
    for row, label in zip(y, raw, strict=True):
        row[: len(label)] = torch.tensor([UNKNOWN if _unknown(one) else number[str(one)] for one in label], dtype=torch.long)
    return Labels("tokens", y, tuple(names))


def labelled(tokens: Tokens, modality: Modality, eligible: bool) -> Tensor | None:
    """bool, True at the tokens that have a label each; None means all. Class and end tokens of sequences have none;
    ``eligible``: nor have other special tokens."""
    if eligible:
        return tokens.maskable()
    return tokens.layout.valid if not tokens.layout.packed else inner(tokens, modality)


def counts(tokens: Tokens, modality: Modality) -> Tensor:
    """Tokens of every sample that ``labelled`` picks without and with ``eligible``, float ``[B, 2]``."""
    columns = [_count(tokens, labelled(tokens, modality, eligible)) for eligible in (False, True)]
    return torch.stack(columns, dim=1).float()


def on_eligible(labels: Labels, found: Tensor, keys: Sequence[str]) -> bool:
    """Whether labels belong to the maskable tokens rather than to all. ``found``: the ``counts`` of every sample. UserError
    names a sample whose number of labels is neither."""
    given = (labels.y != BEYOND).sum(1)
    fits = given[:, None] == found.long()
    if bool(fits[:, 0].all()):
        return False
    if bool(fits[:, 1].all()):
        return True
    column = 1 if int(fits[:, 1].sum()) > int(fits[:, 0].sum()) else 0
    first = int((~fits[:, column]).nonzero()[0])
    raise UserError(f"{keys[first]}: {int(given[first])} labels for {int(found[first, column])} tokens")


def _unknown(label: Any) -> bool:
    """A token without a label: none, NaN or -1, whatever the other tokens have."""
    return missing(label) or minus_one(label)


def _count(tokens: Tokens, mask: Tensor | None) -> Tensor:
    lay = tokens.layout
    if lay.cu_seqlens is not None:
        lengths = lay.cu_seqlens.diff().long()
        return lengths if mask is None else lengths.new_zeros(len(lengths)).index_add(0, lay.segments(), mask.long())
    return torch.full((tokens.shape[0],), tokens.shape[1], device=tokens.device) if mask is None else mask.sum(1)
