"""What single tokens tell of their labels without any encoder: their own values under a linear probe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from maskedmod.core.context import Context
from maskedmod.core.modality import Modality, Record
from maskedmod.data.loader import Loader
from maskedmod.evaluate.token_labels import labelled
from maskedmod.finetune.classifier import Rows

MOST = 50_000
"""Training tokens that the probe learns from; more are drawn from."""


@torch.no_grad()
def token_values(modality: Modality, records: Sequence[Record], rows: Rows, batch_size: int, workers: int = 0) -> Tensor:
    """Values of all tokens that have a label each, float32 ``[T, P]``, ids as one of ``vocab``; records in their order."""
    found = []
    for batch in Loader(records, modality, batch_size, shuffle=False, workers=workers).epoch_batches():
        tokens = next(iter(modality.tokenize(modality.prepare(batch, Context(training=False))).values()))
        mask = labelled(tokens, modality, rows == "eligible")
        values = tokens.values if tokens.layout.packed else tokens.values.flatten(0, 1)
        values = values if mask is None else values[mask.flatten()]
        if not values.is_floating_point():
            values = F.one_hot(values.long(), modality.spec.vocab or -1)
        found.append(values.flatten(1).float())
    return torch.cat(found)


def drawn(known: Tensor, seed: int) -> Tensor:
    """Numbers of the True ones, at most ``MOST`` of them, drawn by the seed."""
    index = known.nonzero()[:, 0]
    if len(index) <= MOST:
        return index
    return index[np.sort(np.random.default_rng(seed).permutation(len(index))[:MOST])]
