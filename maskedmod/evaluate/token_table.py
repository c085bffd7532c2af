"""One table of features of single tokens (nodes of a graph, residues): a row a token that has a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskedmod.core.context import Context
from maskedmod.core.modality import BadSample, Modality, Record
from maskedmod.data.batches import read, record_at
from maskedmod.errors import UserError
from maskedmod.evaluate.features import Features, Reader
from maskedmod.evaluate.grouped import random_parts
from maskedmod.evaluate.named_splits import whole
from maskedmod.evaluate.settings import Settings
from maskedmod.evaluate.splits import Trial
from maskedmod.evaluate.token_labels import counts, labelled
from maskedmod.sequences.windows import encode
from maskedmod.support.devices import to_device


def token_reader(encoder: nn.Module, modality: Modality) -> Reader:
    """Output of an encoder that sees all tokens, ``[T, D]``: of every token that can have a label, sample after sample."""
    encoder = encoder.eval().float()

    def rows(batch: dict[str, Any]) -> Tensor:
        latent = encode(encoder, next(iter(modality.tokenize(batch).values())), modality)
        x, valid = latent.tokens, latent.layout.valid
        return x if latent.layout.packed else x.flatten(0, 1) if valid is None else x[valid]

    return rows


def raw_token_reader(modality: Modality) -> Reader:
    """Values of the same tokens, ``[T, P]``; of ids one of all."""

    def rows(batch: dict[str, Any]) -> Tensor:
        tokens = next(iter(modality.tokenize(batch).values()))
        mask = labelled(tokens, modality, eligible=False)
        values = tokens.values if tokens.layout.packed else tokens.values.flatten(0, 1)
        values = values if mask is None else values[mask.flatten()]
        return (
            values.flatten(1).float() if values.is_floating_point() else F.one_hot(values, modality.spec.vocab or -1).flatten(1)
        )

    return rows


def token_labels(record: Record) -> list[Any]:
    """``extra["token_labels"]``, else the record's own label where it is a list. UserError when there are none."""
    found = record.extra.get("token_labels", record.label)
    if not isinstance(found, list | tuple | np.ndarray | str):
        raise UserError(f"{record.key}: label {found!r}; level=token expects a label for every token")
    return list(found)


@torch.no_grad()
def extract_tokens(
    modality: Modality, records: Sequence[Record], readers: Mapping[str, Reader], batch_size: int, device: str = "cpu"
) -> Features:
    """As ``features.extract``, with a row for every token: its key is the sample's and its number, its group the sample. Samples
    of which there is one alone have no groups: every token is its own."""
    place, ctx = torch.device(device), Context(training=False)
    parts: dict[str, list[Tensor]] = {name: [] for name in readers}
    out = Features({}, [], [], [], 0)
    bad: list[str] = []
    for first in range(0, len(records), batch_size):
        good, samples = [], []
        for record in (record_at(records, i) for i in range(first, min(first + batch_size, len(records)))):
            try:
                samples.append(read(modality, record, None))
                good.append(record)
            except BadSample as error:
                bad.append(f"{record.key}: {error}")
        if not good:
            continue
        batch = modality.prepare(to_device(modality.collate(samples), place), ctx)
        for name, reader in readers.items():
            parts[name].append(reader(batch).float().cpu())
        sizes = counts(next(iter(modality.tokenize(batch).values())), modality)[:, 0].long().tolist()
        for record, size in zip(good, sizes, strict=True):
            _tell(out, record, size, alone=len(records) == 1)
    if not out.keys:
        raise UserError(f"no sample could be read; the first: {bad[0]}" if bad else "there is no sample")
    x = {name: torch.cat(rows) for name, rows in parts.items()}
    for name, values in x.items():
        if not bool(values.isfinite().all()):
            raise UserError(f"{name}: features of {out.keys[int((~values.isfinite()).any(1).nonzero()[0])]} are not finite")
    said = [f"{len(bad)} samples could not be read and are left out, the first: {bad[0]}"] if bad else []
    return Features(x, out.labels, out.keys, out.groups, len(bad), out.places, said)


def _tell(out: Features, record: Record, size: int, alone: bool) -> None:
    """Add the rows of one sample."""
    labels = token_labels(record)
    if len(labels) != size:
        raise UserError(f"{record.key}: {len(labels)} labels for {size} tokens")
    keys = [f"{record.key} token {i}" for i in range(size)]
    out.labels.extend(labels)
    out.keys.extend(keys)
    out.groups.extend(keys if alone else [str(record.extra.get("clip", record.key))] * size)
    out.places.extend(range(size))


def one_sample(source: Any, modality: Modality) -> Sequence[Record]:
    """The records of a source that is one sample in both its parts (a graph), else nothing."""
    if not hasattr(source, "everything"):
        return ()
    records = whole(source, modality)
    return records if len(records) == 1 else ()


def token_trials(record: Record, found: Features, settings: Settings) -> list[Trial]:
    """Parts of the tokens of one sample: the published ones that go with it, or ``split=random``: 80, 10 and 10 %, drawn by the
    seed. ``folds`` makes its own. UserError when there are none."""
    if settings.split == "random":
        drawn = [random_parts(len(found.keys), seed) for seed in range(settings.seeds)]
        return [Trial(part.train, part.test, seed, part.val) for seed, part in enumerate(drawn)]
    if settings.split is not None:
        raise UserError(f"split={settings.split}: tokens of one sample are split by split=random, or as published")
    if settings.folds:
        return []
    parts = record.extra.get("parts")
    if not parts:
        raise UserError(f"{record.key} comes without a split of its tokens: give split=random or folds=10")
    row = {place: i for i, place in enumerate(found.places)}
    sides = {name: [row[i] for i in np.asarray(chosen).tolist() if i in row] for name, chosen in parts.items()}
    train, val, test = (np.array(sides.get(name, []), np.int64) for name in ("train", "val", "test"))
    return [Trial(train, test, seed, val) for seed in range(settings.seeds)]
