"""Features of records: one pass over the data, batch by batch, for any number of encoders at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.modality import Modality, Record, changes
from maskedmod.data.bad import BadLog
from maskedmod.data.loader import Loader
from maskedmod.errors import UserError, one_line
from maskedmod.sequences.windows import encode
from maskedmod.support.devices import to_device

Pool = Literal["mean", "sum", "max", "mean_max", "cls", "both", "axis", "grid"]
POOLS = get_args(Pool)
TOLD = ("labels", "keys", "groups", "places", "changes")
"""What is known of a sample beside its signal."""
CELLS = 4
"""Parts of every axis under ``pool=grid``."""
Reader = Callable[[dict[str, Any]], Tensor]
"""A prepared batch -> features ``[B, D]``."""


@dataclass(frozen=True)
class Features:
    """``x``: features float32 ``[n, D]`` on the CPU by reader name; rows are the records that could be read, in their order.
    ``labels``, ``keys`` and ``groups`` (key of the whole that a record is a part of) of these rows. ``bad``: how many could
    not be read. ``places``: number of every row among all records where these are numbered (``chosen.Chosen``), else -1.
    ``said``: a line each about records that could not be read and about those that were altered in reading."""

    x: dict[str, Tensor]
    labels: list[Any]
    keys: list[str]
    groups: list[str]
    bad: int
    places: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


class _Named(nn.Module):
    """A modality that hands on what a record is called and labelled, beside the sample itself."""

    def __init__(self, modality: Modality) -> None:
        super().__init__()
        self.modality = modality

    def read(self, record: Record) -> tuple[Any, ...]:
        extra = record.extra
        with changes() as heard:
            sample = self.modality.read(record)
        change = one_line("; ".join(heard))
        return sample, record.label, record.key, str(extra.get("clip", record.key)), extra.get("row", -1), change

    def plausible(self, sample: tuple[Any, ...]) -> None:
        self.modality.plausible(sample[0])

    def collate(self, samples: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
        first, *rest = (list(column) for column in zip(*samples, strict=True))
        return {"batch": self.modality.collate(first), **dict(zip(TOLD, rest, strict=True))}


@torch.no_grad()
def extract(
    modality: Modality, records: Any, readers: Mapping[str, Reader], batch_size: int = 128, device: str = "cpu", workers: int = 0
) -> Features:
    """Features of all records under every reader. Nothing is augmented and nothing is masked. Records that cannot be read are
    left out and counted. Raises UserError when none is left, or when features are not finite."""
    from tqdm import tqdm

    place, ctx = torch.device(device), Context(training=False)
    loader = Loader(records, _Named(modality), batch_size, shuffle=False, workers=workers, bad="skip")  # type: ignore[arg-type]
    parts: dict[str, list[Tensor]] = {name: [] for name in readers}
    told: dict[str, list[Any]] = {what: [] for what in TOLD}
    total = len(records) if hasattr(records, "__len__") else None
    with tqdm(total=total, unit="sample", desc="features", disable=None, leave=False) as bar:
        for item in loader.epoch_batches():
            batch = modality.prepare(to_device(item["batch"], place), ctx)
            for name, reader in readers.items():
                parts[name].append(reader(batch).float().cpu())
            for what, rows in told.items():
                rows.extend(item[what])
            bar.update(len(item["keys"]))
    if not told["keys"]:
        raise UserError(f"no sample could be read; {loader.bad.first}" if loader.bad.count else "there is no sample")
    x = {name: torch.cat(rows) for name, rows in parts.items()}
    for name, values in x.items():
        if not bool(values.isfinite().all()):
            raise UserError(f"{name}: features of {told['keys'][int((~values.isfinite()).any(1).nonzero()[0])]} are not finite")
    said = _said(told["keys"], told["changes"], loader.bad)
    return Features(x, told["labels"], told["keys"], told["groups"], loader.bad.count, told["places"], said)


def _said(keys: Sequence[str], heard: Sequence[str], bad: BadLog) -> list[str]:
    """How many samples were left out and how many altered, and the first of each."""
    lines = [f"{bad.count} samples could not be read and are left out, the first: {bad.first}"] if bad.count else []
    altered = [f"{key}: {change}" for key, change in zip(keys, heard, strict=True) if change]
    return [*lines, f"{len(altered)} samples were altered in reading, the first: {altered[0]}"] if altered else lines


def encoder_reader(encoder: nn.Module, modality: Modality, pool: Pool = "mean") -> Reader:
    """Pooled output of an encoder that sees all tokens of the first view, in evaluation mode and float32."""
    encoder = encoder.eval().float()

    def read(batch: dict[str, Any]) -> Tensor:
        tokens = next(iter(modality.tokenize(batch).values()))
        return pooled(encode(encoder, tokens, modality), pool)

    return read


def pooled(latent: Latent, pool: Pool) -> Tensor:
    """``mean`` over valid tokens, ``cls``: the class token, ``both``: the two side by side, ``[B, D]`` or ``[B, 2D]``.
    ``sum`` and ``max`` over valid tokens; ``mean_max``: the mean plus the largest value (Point-MAE, Point-M2AE), ``[B, D]``.
    ``axis``: mean over the first axis of the grid, the places along the others side by side, ``[B, F * D]``: of a spectrogram the
    mean over time of all frequencies (MSM-MAE, Niizumi et al. 2022, section 3.3). ``grid``: means over the 4 x 4 parts of the
    sample's own valid extent, ``[B, 16 * D]``: keeps in rough what comes before what, and what is above what.
    UserError when a class token is asked for and the encoder has none, or an axis and there is no grid of two."""
    if pool == "mean":
        return latent.mean()
    if pool == "sum":
        return latent.total()
    if pool == "max":
        return latent.largest()
    if pool == "mean_max":
        return latent.mean() + latent.largest()
    if pool == "axis":
        return _over_first_axis(latent)
    if pool == "grid":
        return _in_parts(latent)
    if latent.prefix is None or not latent.has_class:
        raise UserError(f"pool={pool}: this encoder has no class token; pool=mean works for every encoder")
    token = latent.prefix[:, 0]
    return token if pool == "cls" else torch.cat([token, latent.mean()], dim=1)


def _over_first_axis(latent: Latent) -> Tensor:
    x, weight, grid = _on_grid(latent, "axis")
    weight = weight.reshape(len(x), grid[0], -1, 1)
    total = (x.reshape(len(x), grid[0], -1, x.shape[-1]) * weight).sum(1)
    return (total / weight.sum(1).clamp(min=1)).flatten(1)


def _in_parts(latent: Latent) -> Tensor:
    x, weight, grid = _on_grid(latent, "grid")
    x, weight = x.reshape(len(x), *grid, -1), weight.reshape(len(x), *grid)
    for axis, size in enumerate(grid):
        others = [i + 1 for i in range(len(grid)) if i != axis]
        extent = (weight.sum(others) > 0).sum(1)  # valid tokens of a sample are a block that begins at 0
        x = torch.einsum("bct,bt...->bc...", _parts(extent, size).to(x.dtype), x.movedim(axis + 1, 1)).movedim(1, axis + 1)
    return x.flatten(1)


def _parts(extent: Tensor, size: int) -> Tensor:
    """Weights ``[B, 4, size]`` of the means over four equal parts of the first ``extent`` places; parts of less than one place
    share it."""
    cell, place = torch.arange(CELLS, device=extent.device)[None, :, None], torch.arange(size, device=extent.device)
    length = extent.clamp(min=1)[:, None, None]
    inside = (place >= cell * length // CELLS) & (place < -(-(cell + 1) * length // CELLS))
    return inside / inside.sum(-1, keepdim=True)


def _on_grid(latent: Latent, pool: str) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Tokens ``[B, N, D]``, their weights ``[B, N]`` (0 = padding) and the lattice."""
    x, layout = latent.tokens, latent.layout
    if layout.grid is None or len(layout.grid) < 2 or x.ndim != 3 or x.shape[1] != math.prod(layout.grid):
        raise UserError(f"pool={pool}: these tokens lie on no grid of two axes or more; pool=mean works for every encoder")
    weight = x.new_ones(x.shape[:2]) if layout.valid is None else layout.valid.to(x.dtype)
    return x, weight, layout.grid
